"""Fit a whitening on a split of a run's features.

    python -m slim_retrieval.nets.whiten --run R --split train --kind lw --dimension 128 --shrinkage 0.1
    python extract_features.py --run R --extraction.whitening lw

Writes runs/R/whitening/<name>.npz (mean, projection) and <name>.json (how it was fitted, on what). It is fitted on
features as extracted without whitening; extraction applies it to every split and refuses one that was fitted on
features of another checkpoint, end point or pooling. Query and gallery are what is evaluated: fitting on them needs
--force.
"""
import argparse
import os

import numpy as np

from slim_retrieval.common import feature_store, runs
from slim_retrieval.common.errors import InputError, command, lookup, nearest
from slim_retrieval.common.files import digest, read_json, replacing, write_json
from slim_retrieval.common.machine import versions
from slim_retrieval.nets.whitening import KINDS

EVALUATED = ["query", "gallery"]
# What features must have been extracted by for a whitening to be theirs.
OF_FEATURES = ["checkpoint", "weights", "end_point", "pooling", "gem_p", "views", "resize"]


@command
def main(argv=None):
    """Read, fit, write and say what came of it."""
    flags = _parser().parse_args(argv)
    run = runs.find(flags.run, flags.directory)
    if flags.split in EVALUATED and not flags.force:
        raise InputError("--split {} is what is evaluated: a whitening fitted on it would know the test images; fit on "
                         "train or validation, or say --force".format(flags.split))
    folder = os.path.join(run, "features", flags.split)
    features, labels, meta = read_features(folder, flags.label if flags.kind == "lw" else None)
    fit = lookup(KINDS, flags.kind, "--kind")
    if not 0 <= flags.shrinkage <= 1 or flags.dimension < 0:
        raise InputError("--shrinkage is {} and --dimension {}; they must be from 0 to 1, and 0 (all) or more".format(
            flags.shrinkage, flags.dimension))
    mean, projection, values = fit(features, labels, flags.dimension, flags.shrinkage)
    path = os.path.join(run, "whitening", flags.name or flags.kind)
    with replacing(path + ".npz") as temporary:
        np.savez(temporary, mean=mean, projection=projection)
    described = dict({"weights": "raw"}, **{key: meta.get(key) for key in OF_FEATURES if key in meta})
    write_json(path + ".json", dict(
        described, kind=flags.kind, split=flags.split, label=flags.label if flags.kind == "lw" else None,
        shrinkage=flags.shrinkage, rows=len(features), width=features.shape[1], dimension=projection.shape[1],
        forced=flags.split in EVALUATED, features_hash=meta["features_hash"], hash=digest(mean, projection),
        versions=versions()))
    print("{}.npz: {} from {} rows of {}, {} -> {} dimensions, variances {:.3g} to {:.3g}".format(
        path, flags.kind, len(features), flags.split, features.shape[1], projection.shape[1], values[0], values[-1]))


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=None, metavar="NAME", help="run folder or name (default: the newest)")
    parser.add_argument("--directory", default="runs", help="folder that holds all runs (default: runs)")
    parser.add_argument("--split", default="train", help="split whose features are fitted on (default: train)")
    parser.add_argument("--kind", default="pca", help="pca, or lw: supervised by labels (default: pca)")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="lw: column of the labels")
    parser.add_argument("--dimension", type=int, default=0, help="dimensions to keep; 0: all")
    parser.add_argument("--shrinkage", type=float, default=0.0, help="from 0 (none) to 1 (the covariance is forgotten)")
    parser.add_argument("--name", default="", help="name of what is written (default: the kind)")
    parser.add_argument("--force", action="store_true", help="allow query or gallery")
    return parser


def read_features(folder, column=None):
    """Return (features float32 [n, d], int labels [n] or None, meta) of an extracted split.

    Raises:
      InputError: not extracted, whitened already, or without the column.
    """
    path = os.path.join(folder, "meta.json")
    if not os.path.isfile(path):
        raise InputError("no features in {}; extract them first (extract_features.py)".format(folder))
    meta = read_json(path)
    if meta.get("whitening"):
        raise InputError("the features in {} are whitened already; extract them with --extraction.whitening '' "
                         "first".format(folder))
    features = np.load(os.path.join(folder, "features.npy"), mmap_mode="r")
    if column is None:
        return features, None, meta
    columns = feature_store.read_index(os.path.join(folder, "index.csv"))
    if column not in columns:
        raise InputError("{} has no column {}{}; name one with --label".format(
            os.path.join(folder, "index.csv"), column, nearest(column, columns)))
    ids = {name: i for i, name in enumerate(sorted(set(columns[column]) - {""}))}
    return features, np.array([ids.get(name, -1) for name in columns[column]]), meta


def load(run, name, described):
    """Return (mean, projection, {what meta.json records}) of a whitening of the run, by name or by path.

    Args:
      described: what the features are extracted by: the keys of OF_FEATURES.

    Raises:
      InputError: there is none, or it was fitted on features of another kind.
    """
    folder = os.path.join(run, "whitening")
    path = next((p for p in (os.path.join(folder, name), name) if os.path.isfile(p + ".npz")), None)
    if path is None:
        known = sorted(f[:-4] for f in os.listdir(folder) if f.endswith(".npz")) if os.path.isdir(folder) else []
        raise InputError("no whitening {}{} in {}; fit one with python -m slim_retrieval.nets.whiten".format(
            name, nearest(name, known), folder))
    made = dict({"weights": "raw"}, **read_json(path + ".json"))  # which older versions did not store
    for key in OF_FEATURES:
        if made.get(key) != described[key]:
            raise InputError("whitening {} was fitted on features of {} {!r}, but {!r} is extracted; fit another "
                             "one".format(path, key, made.get(key), described[key]))
    with np.load(path + ".npz", allow_pickle=False) as archive:
        mean, projection = archive["mean"], archive["projection"]
    record = {key: made[key] for key in ("kind", "split", "label", "shrinkage", "dimension", "rows", "forced", "hash")}
    return mean, projection, dict(record, name=name)


if __name__ == "__main__":
    main()
