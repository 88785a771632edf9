"""Photos added to a run's gallery features, and taken away, without extracting the others again.

The features are written anew beside the old ones and then put in their place: what is killed leaves the old ones, and
the same command goes on where it was. Old rows stay as they were, bit by bit.
"""
import os

import numpy as np

from slim_retrieval.common import feature_store
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import digest, read_json
from slim_retrieval.common.progress import progress
from slim_retrieval.datasets import images
from slim_retrieval.datasets.csv_list import read_csv
from slim_retrieval.datasets.regions import BOX, ROTATION

BATCH = 256  # new photos that are decoded, extracted, written and lost in a kill at once
ROWS = 4096  # old rows copied at once


def add(run, given, skip_unreadable=False, devices=()):
    """Append photos to the gallery of a run; return how many. Those that are there already are left out.

    Args:
      run: folder of the run; its gallery's features are there.
      given: image files, folders of images and CSV files. An image in a folder's own folder gets its name as label.
        Columns of the gallery that are not known of a photo are empty.
      skip_unreadable: leave out images that cannot be read.
      devices: names of the devices to run on.

    Raises:
      InputError: nothing there, an image that cannot be read, or a run that cannot extract as it did before.
    """
    folder, meta, columns = _store(run)
    new = _new(found(given), columns["path"], skip_unreadable)
    if not new:
        return 0
    from slim_retrieval.training import photos  # here: it needs TensorFlow
    paths, width = [row["path"] for row in new], meta["width"]
    writer = feature_store.FeatureWriter(folder, width, digest(meta["features_hash"], paths))
    try:
        old = _copy(writer, folder, np.arange(meta["rows"]))
        with photos.opened(run, meta, devices) as features_of, progress(
                total=len(paths), initial=writer.next_row - old, what="extracting photos", unit="img") as bar:
            while writer.next_row < old + len(paths):
                part = paths[writer.next_row - old:][:BATCH]
                writer.append(features_of(part)[0], len(part), unit_rows=True)
                bar.update(len(part))
        columns = {name: values + [row.get(name, "") for row in new] for name, values in columns.items()}
        known = {_key(path) for path in paths}
        writer.finish(columns, dict(meta, deleted=[p for p in meta.get("deleted", []) if _key(p) not in known]))
    finally:
        writer.close()
    return len(new)


def delete(run, given):
    """Take photos out of the gallery of a run; return how many. Those that were deleted before are left out.

    Args:
      given: paths as index.csv has them, and files (.txt with a path a line, .csv with a column path) that list such.

    Raises:
      InputError: a path that the gallery neither has nor had, or one that would leave no photo.
    """
    folder, meta, columns = _store(run)
    paths = _listed(given)
    names, gone = [_key(path) for path in columns["path"]], {_key(path) for path in meta.get("deleted", [])}
    known = set(names) | gone
    missing = [path for path in paths if _key(path) not in known]
    if missing:
        raise InputError("{} is not in the gallery of {} ({} of {} paths are not); name images as {} does".format(
            missing[0], run, len(missing), len(paths), os.path.join(folder, "index.csv")))
    unwanted = {_key(path) for path in paths}
    rows = np.array([row for row, name in enumerate(names) if name not in unwanted], np.int64)
    if len(rows) == len(names):
        return 0
    if not len(rows):
        raise InputError("all {} images of the gallery of {} would be deleted; leave one at least".format(
            len(names), run))
    writer = feature_store.FeatureWriter(folder, meta["width"], digest(meta["features_hash"], "delete", rows))
    try:
        _copy(writer, folder, rows)
        deleted = sorted(gone | (unwanted & set(names)))
        writer.finish({name: [values[row] for row in rows] for name, values in columns.items()},
                      dict(meta, deleted=deleted))
    finally:
        writer.close()
    return len(names) - len(rows)


def found(given):
    """Return the photos of files, folders and CSV files, a list of dicts with `path` and other columns."""
    rows = []
    for path in given:
        if os.path.isdir(path):
            inside = _in_folder(path)
            if not inside:
                raise InputError("{} holds no images ({})".format(path, " ".join(images.SUFFIXES)))
            rows += inside
        elif path.lower().endswith(".csv"):
            table = read_csv(path)
            for name in (BOX, ROTATION):
                if any(table.columns.get(name, [])):
                    raise InputError("{} has a column {}; only whole photos can be added".format(path, name))
            rows += [dict({name: values[row] for name, values in table.columns.items()}, path=table.paths[row])
                     for row in range(len(table))]
        elif os.path.isfile(path):
            rows.append({"path": path})
        else:
            raise InputError("no photo, folder or CSV file {}".format(path))
    return rows


def _in_folder(folder):
    """Return the images below a folder, sorted; the label is the first folder's name within it."""
    rows = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        label = os.path.relpath(parent, folder).split(os.sep)[0]
        rows += [{"path": os.path.join(parent, name), "label": "" if label == "." else label} for name in sorted(names)
                 if not name.startswith(".") and name.lower().endswith(images.SUFFIXES)]
    return rows


def _new(rows, known, skip_unreadable):
    """Return the rows whose path is not known, each path once."""
    seen, new = {_key(path) for path in known}, []
    for row in rows:
        if _key(row["path"]) not in seen and (not skip_unreadable or _readable(row["path"])):
            new.append(row)
        seen.add(_key(row["path"]))
    return new


def _readable(path):
    try:
        images.decode(path)
    except images.UnreadableImage as error:
        print("left out: {}".format(error), flush=True)
        return False
    return True


def _store(run):
    """Return (folder, meta.json, columns of index.csv) of the gallery's features."""
    folder = os.path.join(run, "features", "gallery")
    if not os.path.isfile(os.path.join(folder, "meta.json")):
        raise InputError("no gallery features in {}; run extract_features.py first".format(run))
    meta, columns = read_json(os.path.join(folder, "meta.json")), feature_store.read_index(
        os.path.join(folder, "index.csv"))
    if len(columns["path"]) != meta["rows"]:
        raise InputError("{} has {} rows but {} features are said to be there; extract the features again".format(
            os.path.join(folder, "index.csv"), len(columns["path"]), meta["rows"]))
    return folder, meta, columns


def _copy(writer, folder, rows):
    """Append some rows of a store's features to the writer, from where it is; return how many there are in all."""
    stored = np.load(os.path.join(folder, "features.npy"), mmap_mode="r", allow_pickle=False)
    while writer.next_row < len(rows):
        part = rows[writer.next_row:][:ROWS]
        writer.append(stored[part], len(part), unit_rows=True)
    return len(rows)


def _listed(given):
    """Return the paths, those in lists among them."""
    paths = []
    for path in given:
        if path.lower().endswith(".csv"):
            paths += feature_store.read_index(path)["path"]
        elif path.lower().endswith(".txt"):
            if not os.path.isfile(path):
                raise InputError("no list {}; give a file with a path a line".format(path))
            with open(path, encoding="utf-8-sig", errors="surrogateescape") as stream:
                paths += [line.strip() for line in stream if line.strip()]
        else:
            paths.append(path)
    return paths


def _key(path):
    return os.path.normpath(path)
