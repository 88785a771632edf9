"""`Found`: what a layout gives `prepare`, and the steps that several layouts share."""
import functools
import os
from typing import Dict, List, NamedTuple, Tuple

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.images import SUFFIXES
from slim_retrieval.datasets.regions import list_images
from slim_retrieval.datasets.table import ImageTable

WHOLE = ""  # the split's name where nothing is split yet
IGNORED_FOLDERS = ("__MACOSX",)


class Found(NamedTuple):
    """The images of a data set.

    Attributes:
      splits: {split: ImageTable}; the key WHOLE alone where the layout does not say how to split.
      protocol: for `evaluation.protocol`; empty where nothing can be measured.
      ground_truth: for `evaluation.ground_truth`; empty where labels are all it takes; the name of one of `files`.
      reader: `csv` where the images are files; else the reader that takes them out of larger files.
      sources: {split: (source, part)} for that other reader.
      notes: sentences for the report.
      files: {name: text} of further files to write beside the lists.
    """
    splits: Dict[str, ImageTable]
    protocol: str = "classes"
    ground_truth: str = ""
    reader: str = "csv"
    sources: Dict[str, Tuple[str, List[float]]] = {}
    notes: List[str] = []
    files: Dict[str, str] = {}


def rows_to_table(rows, root=""):
    """Return the ImageTable of rows, dicts with `path` and further columns; paths are joined to `root`, absolute.

    A column that a row lacks is empty there.
    """
    names = sorted({name for row in rows for name in row} - {"path"})
    return columns_to_table([row["path"] for row in rows],
                            {name: [row.get(name, "") for row in rows] for name in names}, root)


def columns_to_table(paths, columns, root=""):
    """Return the ImageTable of paths, joined to `root` and made absolute, and {column: values}."""
    return list_images([os.path.abspath(os.path.join(root, path)) for path in paths], columns)


@functools.lru_cache(maxsize=8)  # layouts look one after another; layouts.py forgets what was found before
def find_images(folder):
    """Return (paths of all images below a folder, relative and sorted, number of other files).

    Links are followed, a folder that was seen is not entered again; hidden files and folders are left out.
    """
    found, others, seen = [], 0, set()
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else sorted(n for n in folders if _is_visible(n) and n not in IGNORED_FOLDERS)
        if real in seen:
            continue
        seen.add(real)
        for name in filter(_is_visible, files):
            if name.lower().endswith(SUFFIXES):
                found.append(os.path.relpath(os.path.join(parent, name), folder))
            else:
                others += 1
    return sorted(found), others


def folder_contents(path):
    """Return (names of the folders, names of the images) directly in a folder, sorted, hidden ones left out."""
    names = sorted(filter(_is_visible, os.listdir(path)))
    folders = [name for name in names if name not in IGNORED_FOLDERS and os.path.isdir(os.path.join(path, name))]
    return folders, [name for name in names if name.lower().endswith(SUFFIXES) and name not in folders]


def images_by_stem(folder, what, without=""):
    """Return {file name without its ending: absolute path} of all images below a folder.

    Args:
      without: a folder that may lie below it and does not count.

    Raises:
      InputError: no image, or two of one name.
    """
    stems, barred = {}, os.path.join(os.path.realpath(without), "") if without else None
    for path in find_images(folder)[0]:
        if barred and os.path.realpath(os.path.join(folder, path)).startswith(barred):
            continue
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem in stems:
            raise InputError("{}: two images are called {} ({} and {}); {} names images by their file name, so remove "
                             "one".format(folder, stem, os.path.relpath(stems[stem], folder), path, what))
        stems[stem] = os.path.abspath(os.path.join(folder, path))
    if not stems:
        raise InputError("no image below {}; {} needs its images there".format(folder, what))
    return stems


def root_with(path, *marks):
    """Return `path`, or the folder in it, that holds all of `marks` (files or folders, a/b allowed), or None."""
    if not os.path.isdir(path):
        return None
    for candidate in [path] + [os.path.join(path, name) for name in folder_contents(path)[0]]:
        if all(os.path.exists(os.path.join(candidate, mark)) for mark in marks):
            return candidate
    return None


def need_root(path, what, *marks):
    """Return `root_with`.

    Raises:
      InputError: there is none; the message lists the marks.
    """
    root = root_with(path, *marks)
    if root is None:
        raise InputError("{} is not {}: neither it nor a folder in it holds {}".format(path, what, " and ".join(marks)))
    return root


def read_lines(path):
    """Return the lines of a UTF-8 text file, without empty ones.

    Raises:
      InputError: no such file, or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return [line for line in stream.read().splitlines() if line.strip()]
    except OSError as error:
        raise InputError("cannot read {}: {}".format(path, error.strerror)) from error
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8 text; fetch it again".format(path)) from error


def split_lines(path, fields, skip=0):
    """Return the lines of a text file, each split at blanks into exactly `fields` words.

    Args:
      skip: lines of heading.

    Raises:
      InputError: a line with another number of words; the message gives it.
    """
    rows = [line.split() for line in read_lines(path)[skip:]]
    for number, row in enumerate(rows, skip + 1):
        if len(row) != fields:
            raise InputError("{} line {}: {} words where {} are expected ({})".format(
                path, number, len(row), fields, " ".join(row)[:60]))
    return rows


def _refuse(error):
    # Without this os.walk would pass over a folder that may not be entered, and its images would be missing unsaid.
    raise InputError("cannot read the folder {}: {}".format(error.filename, error.strerror)) from error


def _is_visible(name):
    return not name.startswith(".")
