"""`ImageTable`: what every reader gives. Rows of images with a path and text columns; pixels are read on demand."""
import numpy as np

from slim_retrieval.common.errors import InputError, nearest


class UnreadableImage(InputError):
    """One image cannot be read. `path` says which, `reason` why."""

    def __init__(self, path, reason):
        super().__init__("cannot read image {}: {}".format(path, reason))
        self.path = path
        self.reason = reason

    def __reduce__(self):  # so that it can come from another process
        return type(self), (self.path, self.reason)


class ImageTable:
    """Images in a fixed order.

    Attributes:
      paths: list of str, one a row; for images inside a larger file a name such as "t10k/000123".
      columns: {name: list of str}, each as long as `paths`; "label" holds the class.
    """

    def __init__(self, paths, columns, read):
        """Make a table.

        Args:
          read: `read(i)` returns row i as uint8 RGB [H, W, 3], or where it is a file of its own, images.decode of it,
            not called yet (functools.partial). It must be safe to call from threads.
        """
        self.paths = list(paths)
        self.columns = {name: list(values) for name, values in columns.items()}
        self._read = read
        for name, values in self.columns.items():
            if len(values) != len(self.paths):
                raise InputError("column {!r} has {} values for {} images".format(name, len(values), len(self.paths)))

    def __len__(self):
        return len(self.paths)

    def load(self, i):
        """Return row i as uint8 RGB [H, W, 3].

        Raises:
          UnreadableImage: the file is missing, damaged or no image; the message names it.
        """
        image = self._read(i)
        return image() if callable(image) else image

    def read(self, i):
        """Return row i as `load` does, or a function that takes more arguments of images.decode."""
        return self._read(i)

    def subset(self, rows):
        """Return the table of the given rows, in the order given."""
        rows = [int(row) for row in rows]
        read = self._read
        return ImageTable([self.paths[row] for row in rows],
                          {name: [values[row] for row in rows] for name, values in self.columns.items()},
                          lambda i: read(rows[i]))


def label_ids(table, column="label"):
    """Return (int32 ids [n], class names sorted): name `names[ids[i]]` is row i's value in `column`.

    Raises:
      InputError: the table has no such column; the message lists those it has.
    """
    if column not in table.columns:
        raise InputError("no label column {!r}{}; these images have: {}".format(
            column, nearest(column, table.columns), ", ".join(sorted(table.columns)) or "none"))
    values = table.columns[column]
    names = sorted(set(values))
    numbers = {name: number for number, name in enumerate(names)}
    return np.fromiter((numbers[value] for value in values), np.int32, len(values)), names


def known_label_ids(table, column="label"):
    """Return as `label_ids`, but an empty cell is an unknown label, -1, and no class."""
    ids, names = label_ids(table, column)
    if not names or names[0] != "":  # sorted, so that the empty one comes first
        return ids, names
    return ids - 1, names[1:]
