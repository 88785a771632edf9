"""Where retrieval's features come from: a run's splits, the cut of its validation split, or plain files."""
import os
from collections import namedtuple

import numpy as np

from slim_retrieval.common import csv_columns, feature_files, files, validation
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features

# features: float32 [n, d], rows L2-normalised. features_hash: str, of the file. key: str, of the rows taken from it.
# labels: [n] str or int, or None. where: str, for messages.
Source = namedtuple("Source", "features features_hash key labels where")


def from_file(path, name, labels_path=None):
    """Return the Source of a file of features.

    Args:
      path: .npy, .npz, .h5 or .mat, as common/feature_files.py reads them.
      name: "query", "gallery" or "train".
      labels_path: a CSV file with a column `label` or a .npy file, row by row, or None.
    """
    stored = feature_files.load(path, name)
    array = features.check_features(stored, name)
    labels = None if labels_path is None else read_labels(labels_path, len(array), path)
    digest = files.digest(stored)
    return Source(array, digest, digest, labels, path)


def from_run(run, split, labels=False):
    """Return the Source of a run's split; with `labels`, those of its index.csv."""
    folder = os.path.join(run, "features", split)
    path, meta = os.path.join(folder, "features.npy"), os.path.join(folder, "meta.json")
    stored = feature_files.load(path, split)
    array = features.check_features(stored, split)
    recorded = files.read_json(meta).get("features_hash") if os.path.isfile(meta) else None
    found = read_labels(os.path.join(folder, "index.csv"), len(array), path) if labels else None
    digest = recorded or files.digest(stored)
    return Source(array, digest, digest, found, path)


def train_of_run(run):
    """Return the Source of a run's labelled train split, or None where it has none."""
    return from_run(run, "train", labels=True) if has_split(run, "train") and has_labels(run, "train") else None


def has_split(run, split):
    """Return whether the run holds features of this split."""
    return os.path.isfile(os.path.join(run, "features", split, "features.npy"))


def has_labels(run, split):
    """Return whether this split of the run has an index.csv with the column label."""
    path = os.path.join(run, "features", split, "index.csv")
    if not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        return "label" in next(csv_columns.rows(stream), [])


def from_validation(run, share, seed):
    """Return the Sources (query, gallery) that the validation split of a run is cut into."""
    if not has_split(run, "validation"):
        raise InputError("no validation features in {}; give the configuration data.validation and run "
                         "extract_features.py".format(run))
    whole = from_run(run, "validation")
    return tuple(Source(np.asarray(whole.features[rows]), whole.features_hash, files.digest(whole.features_hash, rows),
                        None, whole.where) for rows in validation.cut(len(whole.features), share, seed))


def read_labels(path, rows, features_path):
    """Return the labels in a CSV file's column `label` (str) or a one-dimensional .npy file, one for each row.

    Raises:
      InputError: no file, no such column, or another number of labels than `rows`.
    """
    if not os.path.isfile(path):
        raise InputError("no file of labels {}; give an existing CSV or .npy file".format(path))
    labels = _npy_labels(path) if path.endswith(".npy") else np.array(
        csv_columns.read(path, ["label"])["label"], dtype=str)
    if len(labels) != rows:
        raise InputError("{} has {} labels and {} has {} features; they must match row by row".format(
            path, len(labels), features_path, rows))
    return labels


def _npy_labels(path):
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError("{} is not a usable .npy file ({})".format(path, error)) from error
    if labels.ndim != 1 or labels.dtype.kind not in "iuUS":
        raise InputError("{}: expected one integer or string for each row, got shape {} of {}".format(
            path, list(labels.shape), labels.dtype))
    return labels
