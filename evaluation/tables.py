"""Lists of images with columns: a CSV file, a list of names, a folder of either, or a folder of images.

A rule such as "same label" needs two of them, queries and gallery. Where a file does not tell the two apart, every
image is both.
"""
import csv
import os
from typing import Dict, List, NamedTuple

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.names import SUFFIXES

SPLITS = ("query", "gallery")


class Table(NamedTuple):
    """Columns of text, one value a row, and where they were read from."""
    columns: Dict[str, List[str]]
    where: str

    def column(self, name):
        """Return a column; InputError when there is none or a value of it is empty."""
        if name not in self.columns:
            raise InputError("{} lacks the column {}; it has: {}".format(
                self.where, name, ", ".join(self.columns) or "nothing"))
        values = self.columns[name]
        if "" in values:
            raise InputError("{} row {}: {} is empty; every image needs one".format(
                self.where, values.index("") + 1, name))
        return values

    def take(self, rows):
        """Return the `Table` of some rows, in the order given."""
        return Table({name: [values[i] for i in rows] for name, values in self.columns.items()}, self.where)


def read_pair(path, folders=SPLITS):
    """Return the tables (query, gallery) at `path`.

    Args:
      path: a CSV file with the column path and, to tell them apart, split (query or gallery); a text file with one name
        a line; a folder that holds query/index.csv and gallery/index.csv (a run's features folder), query.csv and
        gallery.csv, or images: in the two `folders`, or below it anywhere. Images of a folder are in the order of their
        sorted names.
      folders: names of the subfolders of queries and gallery, as the data set has them.
    """
    if not os.path.isdir(path):
        return _split(read_table(path))
    for pattern in ("{}/index.csv", "{}.csv"):
        files = [os.path.join(path, pattern.format(split)) for split in SPLITS]
        if any(map(os.path.isfile, files)):
            return tuple(read_table(file) for file in files)
    if all(os.path.isdir(os.path.join(path, name)) for name in folders):
        return tuple(_images(os.path.join(path, name), name) for name in folders)
    return (_images(path),) * 2


def read_table(path):
    """Return the `Table` of a .csv or .tsv file with the column path, or of another text file with one name a line.

    Raises:
      InputError: missing, empty, not UTF-8, or no CSV.
    """
    if not os.path.isfile(path):
        raise InputError("no ground truth {}; give an existing file or folder".format(path))
    if not path.endswith((".csv", ".tsv")):
        return Table({"path": read_lines(path)}, path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            table = _parse(csv_columns.rows(stream, strict=True), path)
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8; save it again as UTF-8".format(path)) from error
    except csv.Error as error:
        raise InputError("{} is not valid CSV: {}".format(path, error)) from error
    table.column("path")
    return table


def read_lines(path):
    """Return the lines of a UTF-8 text file, without blank ones and without blanks around them; none is an error."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = [line.strip() for line in stream]
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8; save it again as UTF-8".format(path)) from error
    lines = [line for line in lines if line]
    if not lines:
        raise InputError("{} is empty; it needs at least one line".format(path))
    return lines


def _parse(reader, path):
    header = next(reader, [])
    if len(set(header)) != len(header):
        raise InputError("{} has a column twice; its first line has: {}".format(path, ", ".join(header)))
    rows = []
    for row in reader:
        if not row:  # an empty line
            continue
        if len(row) != len(header):
            raise InputError("{} line {}: {} values for {} columns; put values that hold a comma in double "
                             "quotes".format(path, reader.line_num, len(row), len(header)))
        rows.append(row)
    if header and not rows:
        raise InputError("{} has a header and no rows; the ground truth needs at least one".format(path))
    return Table({name: [row[i] for row in rows] for i, name in enumerate(header)}, path)


def _split(table):
    """Return (query, gallery) by the column split; without one, every image is both."""
    if "split" not in table.columns:
        return table, table
    splits = table.column("split")
    for row, split in enumerate(splits, 1):
        if split not in SPLITS:
            raise InputError("{} row {}: split is {!r}; it must be query or gallery".format(table.where, row, split))
    for split in SPLITS:
        if split not in splits:
            raise InputError("{} has no row whose split is {}; both query and gallery are needed".format(
                table.where, split))
    return tuple(table.take([i for i, one in enumerate(splits) if one == split]) for split in SPLITS)


def _images(folder, prefix=""):
    """Return the `Table` of the image files below a folder; their names are relative to it, behind `prefix`."""
    found = []
    for base, _, names in os.walk(folder):
        inside = os.path.normpath(os.path.join(prefix, os.path.relpath(base, folder)))
        found += [os.path.normpath(os.path.join(inside, name)) for name in names if name.lower().endswith(SUFFIXES)]
    if not found:
        raise InputError("ground truth {} holds neither query/index.csv nor query.csv nor images".format(folder))
    for name in found:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError("{} holds a file name that is not UTF-8: {!r}; rename it".format(folder, name)) from error
    return Table({"path": sorted(found)}, folder)
