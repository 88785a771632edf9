"""Own photos in a list: a CSV or TSV file with a header.

    path;label;category;camera;box;split          commas, semicolons or tabs; UTF-8 (a mark in front may be there),
    shoes/1.jpg;17;sneaker;2;0 0 90 120;train     UTF-16 with a mark, else Windows-1252

Relative paths are relative to the list, or to `images`. `path` and `label` may be called otherwise (PATH_NAMES,
LABEL_NAMES). `split` holds train, validation, query, gallery or test (query and gallery at once); `box` is a crop, and
so are four columns x1, y1, x2, y2. All other columns are kept.
"""
import codecs
import io
import os

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.datasets.found import WHOLE, Found, rows_to_table
from slim_retrieval.datasets.layout_folder import SPLIT_NAMES, expand_test
from slim_retrieval.datasets.regions import BOX, format_box

PATH_NAMES = ["path", "image_path", "image", "img", "file", "filename", "file_name", "filepath"]
LABEL_NAMES = ["label", "class", "class_name", "label_id", "class_id", "target"]
CORNERS = ["x1", "y1", "x2", "y2"]
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def is_list(path):
    """Return whether the path is a file that ends as lists do."""
    return os.path.isfile(path) and path.lower().endswith((".csv", ".tsv", ".txt"))


def read_list(path, options):
    """Return the `Found` of a list; split by its column `split` when it has one.

    Raises:
      InputError: no header, no column that holds the paths or labels, rows of another width, a split that is none, or
        no image where the list says.
    """
    header, rows = _read(path)
    columns = {"path": _pick(path, header, options["path_column"], PATH_NAMES, "path")}
    if not options["unlabelled"]:
        columns["label"] = _pick(path, header, options["label_column"], LABEL_NAMES, "label")
    root = os.path.abspath(options["images"] or os.path.dirname(path))
    names = _names(header, columns)
    rows = [dict(zip(names, map(str.strip, row))) for row in rows]
    for number, row in enumerate(rows, 2):
        _complete(path, number, row, root)
    _check_some_exist(path, rows, root)
    return _found(path, rows, root)


def _found(path, rows, root):
    if not any(row.get("split") for row in rows):
        for row in rows:
            row.pop("split", None)
        if any("label" in row for row in rows):
            return Found({WHOLE: rows_to_table(rows, root)})
        table = rows_to_table(rows, root)
        return Found({"query": table, "gallery": table}, protocol="", notes=[
            "no labels: every image searches all others and nothing is learnt or measured"])
    splits = {}
    for number, row in enumerate(rows, 2):
        name = row.pop("split")
        if name.lower() not in SPLIT_NAMES:
            raise InputError("{} row {}: the split is {!r}; it must be train, validation, query, gallery or test{}"
                             .format(path, number, name, nearest(name, SPLIT_NAMES)))
        splits.setdefault(SPLIT_NAMES[name.lower()], []).append(row)
    return Found(expand_test({split: rows_to_table(part, root) for split, part in splits.items()}))


def _read(path):
    """Return (header, rows) of the file."""
    with open(path, "rb") as stream:
        content = stream.read()
    if b"\0" in content[:4096] and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("{} is no text file; give a CSV or TSV file or a folder".format(path))
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # what spreadsheets of Windows write
    lines = text.splitlines()
    if not lines:
        raise InputError("{} is empty; it needs a header such as path,label and a line for each image".format(path))
    rows = [row for row in csv_columns.rows(io.StringIO(text, newline="")) if any(map(str.strip, row))]
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError("{} row {}: {} values, the header has {} ({})".format(
                path, number, len(row), len(header), ", ".join(header)))
    if len(set(header)) < len(header):
        raise InputError("{}: the column {!r} is there twice; rename one".format(
            path, next(name for name in header if header.count(name) > 1)))
    if len(rows) == 1:
        raise InputError("{} has a header ({}) and no rows".format(path, ", ".join(header)))
    return header, rows[1:]


def _pick(path, header, wanted, names, what):
    """Return the name of the column that holds the paths or labels."""
    if wanted:
        if wanted not in header:
            raise InputError("{} has no column {!r}{}; it has: {}".format(
                path, wanted, nearest(wanted, header), ", ".join(header)))
        return wanted
    lowered = {name.lower(): name for name in reversed(header)}
    for name in names:
        if name in lowered:
            return lowered[name]
    hint = "; or search without labels: --unlabelled" if what == "label" else \
        "; the first line must name the columns, such as path,label"
    raise InputError("{}: none of its columns ({}) is called {}; name the right one with --{}_column{}".format(
        path, ", ".join(header), what, what, hint))


def _names(header, columns):
    """Return the columns' names as the lists are to have them: those picked are `path` and `label`."""
    picked = {name: column for column, name in columns.items()}
    return [picked.get(name, name + "_given" if name in columns else name) for name in header]


def _complete(path, number, row, root):
    """Check a row and put its path and box into their usual form, in place."""
    for name in ("path", "label"):
        if not row.get(name, "-"):
            raise InputError("{} row {}: the {} is empty; fill it or remove the row".format(path, number, name))
    image = os.path.expanduser(row["path"])
    if "\\" in image and not os.path.isfile(os.path.join(root, image)):
        image = image.replace("\\", "/")  # written on Windows
    row["path"] = image
    if BOX not in row and all(row.get(name) for name in CORNERS):
        try:
            row[BOX] = format_box([row.pop(name) for name in CORNERS])
        except ValueError as error:
            raise InputError("{} row {}: x1, y1, x2, y2: {}".format(path, number, error)) from error


def _check_some_exist(path, rows, root):
    """Refuse a list of which no image is there: that is a wrong folder, not a few lost files."""
    if not any(os.path.isfile(os.path.join(root, row["path"])) for row in rows):
        raise InputError("{}: none of its {:,} images is there, e.g. {}; relative paths are relative to the list, or "
                         "to --images DIR".format(path, len(rows), os.path.join(root, rows[0]["path"])))
