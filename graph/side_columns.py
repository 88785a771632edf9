"""Columns about the gallery's images: of the run's index.csv, or of a file given with --side_columns."""
import os
from collections import namedtuple

from slim_retrieval.common import csv_columns, feature_store, validation
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import leakage

# values: {column: list of str} or None. path: of their file. own: whether that is the run's index.csv.
Columns = namedtuple("Columns", "values path own")
NONE = Columns(None, "", True)


def read_indexes(run, cut=None):
    """Return ({column: values} of the queries, the same of the gallery, path of the gallery's index).

    Args:
      run: its folder.
      cut: (share, seed) to cut its validation split by, or None.
    """
    paths = [os.path.join(run, "features", "validation" if cut else split, "index.csv")
             for split in ("query", "gallery")]
    query, gallery = [feature_store.read_index(path) for path in paths]
    if cut:
        parts = validation.cut(len(gallery["path"]), *cut)
        query, gallery = [{name: [values[row] for row in rows] for name, values in gallery.items()} for rows in parts]
    return query, gallery, paths[1]


def read_columns(path, rows, index=None):
    """Return {column: list of str} about the gallery in a CSV file; empty text is unknown.

    With a column `path` and a run's index the lines are found by path: they may be fewer, and about other images too.
    Otherwise they match the gallery row by row.

    Args:
      path: the CSV file.
      rows: number of gallery images.
      index: {column: list of str} of the run's gallery, or None.

    Raises:
      InputError: not a CSV file, another number of rows than images, a path twice, or no path of the gallery.
    """
    columns = csv_columns.read(path)
    if index is not None and "path" in columns:
        return _by_path(path, columns, index["path"])
    lines = len(next(iter(columns.values())))
    if lines != rows:
        raise InputError("--side_columns: {} has {} rows and the gallery {} images; they must match row by row, or in "
                         "a run by a column 'path'".format(path, lines, rows))
    return columns


def _by_path(path, columns, wanted):
    places = {name: line for line, name in enumerate(columns["path"])}
    double = [name for line, name in enumerate(columns["path"]) if places[name] != line]
    if double:
        raise InputError("--side_columns: {} has the path {!r} twice; keep one line".format(path, double[0]))
    lines = [places.get(name) for name in wanted]
    if all(line is None for line in lines):
        raise InputError("--side_columns: no path in {}, such as {!r}, is in the gallery; write them as in its "
                         "index.csv, such as {!r}".format(path, next(iter(places), ""), wanted[0]))
    found = {name: ["" if line is None else values[line] for line in lines] for name, values in columns.items()}
    return dict(found, path=list(wanted))


def column(columns, name, setting):
    """Return the column's values, list of str.

    Raises:
      InputError: there is none of that name, it must not be used (leakage.check_name), or it is empty throughout.
    """
    if columns.values is None:
        raise InputError("{} is {!r}, and features from anywhere come without columns; give them, row by row, as "
                         "--side_columns FILE.csv".format(setting, name))
    leakage.check_name(setting, name, columns.path, columns.own)
    values = lookup(columns.values, name, "column for {} in {}".format(setting, columns.path))
    if not any(values):
        raise InputError("{}: column {!r} of {} is empty for all {} gallery images".format(
            setting, name, columns.path, len(values)))
    return values
