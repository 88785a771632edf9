"""Label columns whose cells may name several tags."""
import numpy as np

SEPARATOR = "|"


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
