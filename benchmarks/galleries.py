"""Galleries with labels and queries to measure on, as .npy files: of gallery_generator.py, or of a file of features."""
import os

import gallery_generator
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup

QUERIES = 1000
SIZES = [10000, 100000, 1000000]


def add_flags(parser):
    """Add the flags that say which galleries."""
    parser.add_argument("--folder", required=True, help="for features and results; features are kept")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N",
                        help="gallery images (default: {}; of --features all)".format(" ".join(map(str, SIZES))))
    parser.add_argument("--dimensions", type=int, default=512, metavar="D", help="of generated features")
    parser.add_argument("--features", metavar="FILE", help=".npz with features and labels, or .npy without labels, "
                                                           "instead of generated features")


def keys(flags, least=2):
    """Return [{"set": name, "n": gallery images, "d": width}], one for each size.

    Raises:
      InputError: a size below `least`, or beyond what the file holds.
    """
    for n in flags.sizes or []:
        if n < least:
            raise InputError("--sizes: {} gallery images; at least {} are needed".format(n, least))
    if flags.features is None:
        return [{"set": "generator", "n": n, "d": flags.dimensions} for n in flags.sizes or SIZES]
    shape = load(flags.features)[0].shape
    most = shape[0] - num_queries(shape[0])
    for n in flags.sizes or []:
        if n > most:
            raise InputError("--sizes: {} gallery images of {}; it has {}, of which {} are queries".format(
                n, flags.features, shape[0], shape[0] - most))
    name = os.path.splitext(os.path.basename(flags.features))[0]
    return [{"set": name, "n": n, "d": shape[1]} for n in flags.sizes or [most]]


def num_queries(n):
    """Return how many of a file's n rows are queries."""
    return min(QUERIES, n // 4)


def prepare(folder, key, features=None):
    """Return the paths of the queries and the gallery (.npy, unit rows) and the labels of both, queries first.

    They are made where they are not there. Rows of a file come in a random order; a smaller gallery is part of a larger
    one and has the same queries.

    Args:
      key: one of `keys`.
      features: the file; None: of the generator.
    """
    name = "" if features is None else key["set"] + "-"
    query, gallery, stored = (os.path.join(folder, "{}{}-{}x{}.npy".format(name, part, key["n"], key["d"]))
                              for part in ("query", "gallery", "labels"))
    if not os.path.exists(stored):
        (generate if features is None else draw)(query, gallery, stored, key["n"], features or key["d"])
    return query, gallery, np.load(stored)


def generate(query, gallery, stored, n, d):
    """Write generated features; the labels last: they say that the others are complete."""
    everything = gallery + "-everything.npy"
    labels = gallery_generator.write(everything, n + QUERIES, d)
    array = np.load(everything, mmap_mode="r")
    files.write_array(query, array[:QUERIES])
    files.write_array(gallery, array[QUERIES:])
    for path in (everything, everything[:-len(".npy")] + "-labels.npy"):
        files.remove(path)
    files.write_array(stored, labels)


def draw(query, gallery, stored, n, path, seed=0):
    """Write rows of a file of features."""
    features, labels = load(path)
    asked = num_queries(len(features))
    places = np.random.RandomState(seed).permutation(len(features))[:asked + n]
    rows = gallery_generator.unit(np.asarray(features, np.float32)[places])
    files.write_array(query, rows[:asked])
    files.write_array(gallery, rows[asked:])
    files.write_array(stored, np.unique(labels, return_inverse=True)[1].ravel()[places].astype(np.int32))


def load(path):
    """Return (features, labels) of a .npz or .npy file; without labels every image has its own.

    Raises:
      InputError: the file cannot be read, or has no features.
    """
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError("--features: cannot read {}: {}".format(path, error)) from error
    if isinstance(stored, np.ndarray):
        return stored, np.arange(len(stored))
    lookup(dict.fromkeys(stored.files), "features", "array in " + path)
    return stored["features"], stored["labels"] if "labels" in stored.files else np.arange(len(stored["features"]))
