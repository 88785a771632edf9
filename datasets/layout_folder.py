"""Own photos in folders: one folder a class, the same below train/, test/ and so on, or a flat folder without labels.

    PATH/<class>/<photo>                     folders
    PATH/<split>/<class>/<photo>             split_folders; split names are those of SPLIT_NAMES
    PATH/<photo>                             flat

A single folder that holds all the rest is passed through. Photos in deeper folders belong to the first folder's class,
or to the folder that they lie in, with `class_folder: last`.
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import WHOLE, Found, find_images, folder_contents, rows_to_table

SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "val": "validation",
               "valid": "validation", "dev": "validation", "query": "query", "queries": "query", "gallery": "gallery",
               "index": "gallery", "database": "gallery", "test": "test", "testing": "test"}


def is_folders(path):
    """Return whether images lie in folders of the folder."""
    return os.path.isdir(path) and not is_flat(path)


def is_split_folders(path):
    """Return whether the folder holds folders of split names alone, at least two."""
    names = folder_contents(_inner(path))[0] if os.path.isdir(path) else []
    return len(names) > 1 and all(name.lower() in SPLIT_NAMES for name in names)


def is_flat(path):
    """Return whether all images lie in one folder."""
    return os.path.isdir(path) and not any(os.sep in name for name in find_images(_inner(path))[0])


def read_folders(path, options):
    """Return the `Found` of a folder of class folders, not split yet."""
    root = _inner(path)
    rows, notes = _class_rows(root, options)
    return Found({WHOLE: rows_to_table(rows, root)}, notes=notes)


def read_split_folders(path, options):
    """Return the `Found` of class folders below split folders; `test` is both query and gallery."""
    root = _inner(path)
    splits, notes = {}, []
    for name in folder_contents(root)[0]:
        rows, more = _class_rows(os.path.join(root, name), options)
        splits.setdefault(SPLIT_NAMES[name.lower()], []).extend(
            dict(row, path=os.path.join(name, row["path"])) for row in rows)
        notes += more
    return Found(expand_test({split: rows_to_table(rows, root) for split, rows in splits.items()}), notes=notes)


def read_flat(path, options):
    """Return the `Found` of a folder of images without labels: every image searches all others."""
    root = _inner(path)
    images, others = _some_images(root)
    if any(os.sep in image for image in images):
        raise InputError("{} has images in folders; layout flat takes one folder".format(root))
    notes = ["no labels: there is one folder only, so every image searches all others and nothing is learnt or "
             "measured"] + _ignored(others, root)
    table = rows_to_table([{"path": image} for image in images], root)
    return Found({"query": table, "gallery": table}, protocol="", notes=notes)


def expand_test(splits):
    """Return the splits with `test` as query and gallery: each image searches all others."""
    test = splits.pop("test", None)
    if test is not None and ("query" in splits or "gallery" in splits):
        raise InputError("there is a split test beside query or gallery; test stands for both, so rename one")
    return dict(splits, query=test, gallery=test) if test is not None else splits


def _class_rows(root, options):
    """Return ({path, label} of all images below class folders, notes)."""
    images, others = _some_images(root)
    inside = [image for image in images if os.sep in image]
    if not inside:
        raise InputError("{} holds {} images and no class folders; put each class into a folder of its own".format(
            root, len(images)))
    notes, last = _ignored(others, root), options["class_folder"] == "last"
    if len(inside) < len(images):
        notes.append("left out: {:,} of {:,} images lie beside the class folders of {}, e.g. {}".format(
            len(images) - len(inside), len(images), root, next(image for image in images if os.sep not in image)))
    rows = [{"path": image, "label": _label(image, last)} for image in inside]
    deepest = max(image.count(os.sep) for image in inside)
    if deepest > 1:
        firsts, lasts = ({_label(image, is_last) for image in inside} for is_last in (False, True))
        notes.append("images lie up to {} folders deep; the class is the {} folder ({:,} classes), with --class_folder "
                     "{} it is the {} ({:,} classes)".format(deepest, *(
                         ("folder that the image lies in, not the first", len(lasts), "first", "first", len(firsts))
                         if last else ("first", len(firsts), "last", "one that the image lies in", len(lasts)))))
    return rows, notes


def _label(image, last):
    return os.path.dirname(image).replace(os.sep, "/") if last else image.split(os.sep)[0]


def _some_images(root):
    images, others = find_images(root)
    if not images:
        archives = [name for name in sorted(os.listdir(root)) if name.lower().endswith((".zip", ".tar", ".gz", ".tgz"))]
        raise InputError("no image below {} ({:,} other files{})".format(
            root, others, "; unpack {} first".format(archives[0]) if archives else ""))
    return images, others


def _ignored(others, root):
    return ["left out: files below {} without an image's ending, {:,}".format(root, others)] if others else []


def _inner(path):
    """Return the folder, or the one that it leads to through folders that hold one folder and no image."""
    seen = set()
    while os.path.realpath(path) not in seen:
        seen.add(os.path.realpath(path))
        folders, images = folder_contents(path)
        if len(folders) == 1 and not images:
            path = os.path.join(path, folders[0])
    return path
