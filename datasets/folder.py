"""Reader `folder`: one folder per class.

    <source>/<class>/<image>        images may lie in folders of the class's folder too

The class is the folder's name. Hidden files are ignored; so are files without an image's ending, and they are counted.
"""
import logging
import os
from functools import partial

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.images import SUFFIXES, decode
from slim_retrieval.datasets.table import ImageTable

log = logging.getLogger(__name__)


def read_folder(path):
    """Return the ImageTable of a folder of class folders; classes and files are sorted by name.

    Raises:
      InputError: no such folder, no class folder, a class folder without images, or a name that is not UTF-8.
    """
    if not os.path.isdir(path):
        raise InputError("no folder {}; reader folder needs one with a folder for each class".format(path))
    names = _visible(os.listdir(path))
    classes = [name for name in names if os.path.isdir(os.path.join(path, name))]
    if not classes:
        raise InputError("{} holds no class folders ({} files); reader folder needs <class>/<image>".format(
            path, len(names)))
    paths, labels, ignored = [], [], len(names) - len(classes)
    for name in classes:
        found, others = _images(os.path.join(path, name))
        if not found:
            raise InputError("class folder {} holds no image ({} other files); remove it or put images there".format(
                os.path.join(path, name), others))
        paths += found
        labels += [name] * len(found)
        ignored += others
    _check_names(paths)
    if ignored:
        log.info("%s: ignored %d files that are not images in a class folder (%s are)", path, ignored,
                     " ".join(SUFFIXES))
    return ImageTable(paths, {"label": labels}, lambda i: partial(decode, paths[i]))


def _images(folder):
    """Return (sorted paths of the images below a folder, number of other files)."""
    found, others = [], 0
    for parent, folders, files in os.walk(folder):
        folders[:] = _visible(folders)
        for name in _visible(files):
            if name.lower().endswith(SUFFIXES):
                found.append(os.path.join(parent, name))
            else:
                others += 1
    return sorted(found), others


def _visible(names):
    return sorted(name for name in names if not name.startswith("."))


def _check_names(paths):
    for path in paths:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError as error:  # It could not be written into index.csv.
            raise InputError("the file name {!r} is not valid UTF-8; rename it".format(path)) from error
