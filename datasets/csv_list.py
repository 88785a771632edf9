"""Reader `csv`: a list of images with labels.

    path,label,category             or separated by semicolons or tabs
    shoes/1.jpg,17,sneaker          relative paths are relative to the CSV file

Only path is required; training and evaluation by classes need label. Other columns can be used as labels by name:
`losses.0.label: category`. Two of them change what is read: `box` and `rotation` (datasets/regions.py).
`python -m slim_retrieval.datasets.prepare` writes such files.
"""
import csv
import os

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.regions import list_images


def read_csv(path):
    """Return the ImageTable of a CSV file (UTF-8, with a header; see csv_columns.rows), rows in the file's order.

    Raises:
      InputError: missing file or column, a row of the wrong width, an empty path or label, an image that does not
        exist, a box that is none; the message gives the line or the image.
    """
    if not os.path.isfile(path):
        raise InputError("no file {}; reader csv needs a CSV file with the columns path and label".format(path))
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            columns = _read_columns(path, stream)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError("{} is not a CSV file in UTF-8: {}".format(path, error)) from error
    return list_images(columns.pop("path"), columns)


def _read_columns(path, stream):
    """Return {column: values}, with the paths joined to the CSV's folder."""
    reader = csv_columns.rows(stream)
    header = [name.strip() for name in next(reader, [])]
    _check_header(path, header)
    columns = {name: [] for name in header}
    for row in reader:
        if not row:
            continue
        where = "{} line {}".format(path, reader.line_num)
        if len(row) != len(header):
            raise InputError("{}: {} fields, the header has {} ({})".format(
                where, len(row), len(header), ", ".join(header)))
        for name, value in zip(header, row):
            columns[name].append(_image_path(path, where, value) if name == "path" else value)
        if "label" in columns and not columns["label"][-1]:
            raise InputError("{}: empty label; give each image a label".format(where))
    return columns


def _check_header(path, header):
    if "path" not in header:
        raise InputError("{} line 1: no column 'path' in the header ({}); it needs path and label, separated by "
                         "commas, semicolons or tabs".format(path, ", ".join(header) or "empty"))
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        raise InputError("{} line 1: column {!r} is there twice; rename one".format(path, double[0]))


def _image_path(csv_path, where, value):
    if not value.strip():
        raise InputError("{}: empty path; give the image's path or remove the line".format(where))
    full = os.path.join(os.path.dirname(csv_path), os.path.expanduser(value))
    if not os.path.isfile(full):
        raise InputError("{}: no image {} (relative paths are relative to the CSV file); put it there or remove the "
                         "line".format(where, full))
    return full
