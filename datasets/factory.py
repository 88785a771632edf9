"""From the configuration's `data` section to the images of a split."""
import os

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.datasets.cifar import read_cifar
from slim_retrieval.datasets.csv_list import read_csv
from slim_retrieval.datasets.folder import read_folder
from slim_retrieval.datasets.idx import read_idx
from slim_retrieval.datasets.tfrecord import read_tfrecord

READERS = {"folder": read_folder, "csv": read_csv, "idx": read_idx, "cifar": read_cifar, "tfrecord": read_tfrecord}
# What to say where a set that a command fetches is not there yet, by a part of its folder's name.
FETCHED = {"fashionmnist": "; to fetch Fashion-MNIST: python -m slim_retrieval.datasets.fashion_mnist",
           "emoji": "; to make the emoji pairs: python -m slim_retrieval.datasets.emoji"}
SPLITS = ["train", "validation", "query", "gallery"]

# Splits that must not share an image. The gallery may be trained on: its images are known beforehand.
APART = [("query", "gallery"), ("train", "validation"), ("validation", "query"), ("validation", "gallery"),
         ("train", "query")]


def split_exists(data, split):
    """Return whether the configuration names a source for the split."""
    return bool(_spec(data, split)["source"])


def read_split(data, split, seed):
    """Return the ImageTable of a split.

    Args:
      data: the plain dict of the configuration's `data` section (common/schema.py, DataConfig).
      split: train, validation, query or gallery.
      seed: run.seed; it fixes the shuffle that `part` cuts. Rows keep the source's order.

    Raises:
      InputError: no path or source, unknown reader, a range that is none, an empty result, or the reader's own.
    """
    spec = _spec(data, split)
    reader = lookup(READERS, data["reader"], "data.reader")
    if not spec["source"]:
        raise InputError("data.{0}.source is empty, so there is no split {0}; name its source ('.' is data.path "
                         "itself)".format(split))
    first, last = _part(data, split)
    table = reader(os.path.normpath(os.path.join(_checked_path(data), spec["source"])))
    rows = part_rows(len(table), first, last, seed)
    if not len(rows):
        raise InputError("data.{}: part [{}, {}] of {} images is empty; widen the part".format(
            split, first, last, len(table)))
    return table if len(rows) == len(table) else table.subset(rows)


def part_rows(count, first, last, seed):
    """Return the rows, ascending, at the places [first, last) (fractions) of a seeded shuffle of `count` rows.

    Parts that touch share no row and leave none out: each boundary is rounded once, in the same way.
    """
    # Rounding to 6 places first lets 0.1 + 0.2 and 0.3 be the same boundary.
    start, stop = (int(np.floor(round(share * count, 6) + 0.5)) for share in (first, last))
    return np.sort(np.random.RandomState(seed).permutation(count)[start:stop])


def check_disjoint(data):
    """Check that splits which must be apart (APART) do not overlap.

    Splits are compared by source and part; two sources that list the same files are not noticed.

    Raises:
      InputError: two of them have the same source and overlapping parts; the message gives both ranges.
    """
    for one, other in APART:
        if not (split_exists(data, one) and split_exists(data, other)):
            continue
        sources = [os.path.normpath(_spec(data, split)["source"]) for split in (one, other)]
        (a, b), (c, d) = _part(data, one), _part(data, other)
        if sources[0] == sources[1] and a < d and c < b:
            raise InputError("data.{} and data.{} share images: both read {}, parts [{}, {}] and [{}, {}] "
                             "overlap; give them ranges that do not".format(one, other, sources[0], a, b, c, d))


def _spec(data, split):
    lookup({name: name for name in SPLITS}, split, "split")
    return data[split]


def _part(data, split):
    part = _spec(data, split)["part"]
    if len(part) != 2 or not 0 <= part[0] < part[1] <= 1:
        raise InputError("data.{}.part: {} is no range; give [from, to] with 0 <= from < to <= 1".format(
            split, list(part)))
    return part[0], part[1]


def _checked_path(data):
    path = os.path.expanduser(data["path"])
    if not path:
        raise InputError("data.path is empty; say where the data lies: data.path in the YAML or --data.path DIR")
    if not os.path.exists(path):
        plain = os.path.basename(os.path.normpath(path)).lower().replace("_", "").replace("-", "")
        hint = next((hint for name, hint in FETCHED.items() if name in plain), "")
        raise InputError("data.path: there is no {}; give the folder with --data.path DIR{}".format(path, hint))
    return path
