"""Label columns as the losses want them: empty cells are unknown labels, a cell may name several tags."""
import numpy as np

SEPARATOR = "|"


def without_empty(ids, names):
    """Return (ids, names) with -1 where the cell is empty.

    Args:
      ids: int32 [n], row i's value is names[ids[i]].
      names: the distinct values, sorted, so that an empty one comes first.
    """
    if not names or names[0] != "":
        return ids, names
    return ids - 1, names[1:]


def tag_table(cells):
    """Return (tags, float32 [V, T]): the distinct tags, sorted, and which of them each cell names.

    Args:
      cells: V distinct values of a column, such as "red|striped"; blanks around a tag do not count.
    """
    named = [sorted({tag.strip() for tag in cell.split(SEPARATOR)} - {""}) for cell in cells]
    tags = sorted({tag for one in named for tag in one})
    place = {tag: number for number, tag in enumerate(tags)}
    table = np.zeros((len(cells), len(tags)), np.float32)
    for row, one in enumerate(named):
        table[row, [place[tag] for tag in one]] = 1
    return tags, table
