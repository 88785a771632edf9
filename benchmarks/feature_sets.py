"""Real feature sets to compare graph methods on: one command, one .npz each, nothing is installed.

    python benchmarks/feature_sets.py --output sets [--sets digits,emoji_pairs] [--source DIR] [--weights FILE.h5]

Each file holds features (float32 [n, d], rows L2-normalised) and labels (int64 [n]); where it is natural also query
(bool [n]: rows that are unseen queries, all others the gallery) and train (bool [n]: rows of classes to learn from, all
others are of never-seen classes). Sets that are there already are kept. MobileNetV2 features and archives (about
350 MB) are kept in the cache and shared between sets.
"""
import argparse
import functools
import os

import numpy as np
import sets_emoji
import sets_fashion
import sets_glyphs
import sets_series
import sets_tables
from sets_common import sample_classes
from sets_material import Material

from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.common.files import replacing

SETS = {
    "digits": lambda m: sets_tables.digits(),
    "digits10": lambda m: sets_tables.digits(each=10),
    "iris": lambda m: sets_tables.table("iris"),
    "wine": lambda m: sets_tables.table("wine"),
    "breast_cancer": lambda m: sets_tables.table("breast_cancer"),
    "letter": sets_tables.letters,
    "letter30": lambda m: sets_tables.letters(m, each=30),
    "vowel": lambda m: sets_tables.vowels(m, "vowel"),
    "vowel_speaker": lambda m: sets_tables.vowels(m, "speaker"),
    "satellite": sets_tables.satellite,
    "vehicle": lambda m: sets_tables.mlbench(m, "Vehicle", "Class"),
    "glass": lambda m: sets_tables.mlbench(m, "Glass", "Type"),
    "sonar": lambda m: sets_tables.mlbench(m, "Sonar", "Class"),
    "fashion_raw": lambda m: sets_fashion.pixels(m, 3000),
    "fashion_70000": sets_fashion.all_pixels,
    "fashion_raw20": lambda m: sets_fashion.pixels(m, each=20),
    "fashion_mobile": lambda m: sets_fashion.mobile(m, 3000),
    "fashion_mobile12": lambda m: sets_fashion.mobile(m, each=12),
    "fashion_8677": lambda m: sets_fashion.mobile(m),
    "emoji_pairs": lambda m: sets_emoji.pairs(m, "mobile"),
    "emoji_pairs_raw": lambda m: sets_emoji.pairs(m, "raw"),
    "emoji_subgroup": sets_emoji.google_subgroups,
    "emoji_subgroup2": lambda m: sets_emoji.subgroups(m, "mobile"),
    "emoji_subgroup_raw": lambda m: sets_emoji.subgroups(m, "raw"),
    "emoji_skin": lambda m: sets_emoji.skin_tones(m, "mobile", 150),
    "emoji_skin_raw": lambda m: sets_emoji.skin_tones(m, "raw", 150),
    "emoji_skin_all_open": lambda m: opened(sets_emoji.skin_tones(m, "mobile"), 150),
    "emoji_vendors3_open": sets_emoji.three_vendors,
    "glyph62": sets_glyphs.forty_fonts,
    "glyph62_open": lambda m: opened(sets_glyphs.forty_fonts(m), 25),
    "alphabets_mobile": lambda m: sets_glyphs.eight_styles(m, "mobile"),
    "alphabets_raw": lambda m: sets_glyphs.eight_styles(m, "raw"),
    "alphabets_open": lambda m: opened(sets_glyphs.eight_styles(m, "mobile"), 300),
    "mnist_raw": lambda m: sets_series.mnist(m, 300),
    "mnist_raw30": lambda m: sets_series.mnist(m, 30),
}
SETS.update({name: functools.partial(sets_series.series, name=name) for name in sets_series.SERIES})


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the .npz files")
    parser.add_argument("--sets", help="names, separated by commas (default: all): " + ", ".join(SETS))
    parser.add_argument("--source", metavar="DIR", help="folder that holds the archives or Fashion-MNIST already")
    parser.add_argument("--weights", metavar="FILE", help="MobileNetV2 1.0 as a Keras .h5 file or a slim checkpoint")
    arguments = parser.parse_args(argv)
    names = arguments.sets.split(",") if arguments.sets else list(SETS)
    makers = [lookup(SETS, name, "feature set") for name in names]  # an unknown name is told before any work
    material = Material(arguments.source, arguments.weights)
    for number, (name, maker) in enumerate(zip(names, makers)):
        path = os.path.join(arguments.output, name + ".npz")
        there = os.path.isfile(path)
        if not there:
            save(path, **maker(material))
        print("{}/{} {}{}".format(number + 1, len(names), describe(path), ", kept" if there else ""), flush=True)


def opened(arrays, tested):
    """Return the set with `train`: all rows but those of `tested` classes, which are never seen in training.

    The draw is that of sample_classes, so that emoji_skin holds exactly the classes that emoji_skin_all_open tests on.
    """
    return dict(arrays, train=~sample_classes(arrays["labels"], tested))


def save(path, features, labels, **masks):
    """Write a set as .npz, complete or not at all: unit rows, labels 0, 1, ... in the order of their names.

    Raises:
      InputError: the arrays differ in length, or a row is zero or not finite.
    """
    features = np.asarray(features, np.float64)
    labels = np.unique(np.asarray(labels), return_inverse=True)[1].ravel().astype(np.int64)
    for name, rows in dict(masks, labels=labels).items():
        if len(rows) != len(features):
            raise InputError("{}: {} rows of features but {} of {}".format(path, len(features), len(rows), name))
    norms = np.nan_to_num(np.sqrt(np.einsum("ij,ij->i", features, features)), nan=0.0, posinf=0.0)
    if not norms.all():
        raise InputError("{}: row {} is zero or not finite and has no direction".format(
            path, np.flatnonzero(norms == 0)[0]))
    masks = {name: np.asarray(rows, bool) for name, rows in masks.items()}
    with replacing(path) as temporary:
        np.savez(temporary, features=(features / norms[:, None]).astype(np.float32), labels=labels, **masks)


def describe(path):
    """Return one line: name, images x dimensions, classes and their sizes, rows in each mask."""
    with np.load(path, allow_pickle=False) as arrays:
        sizes = np.bincount(arrays["labels"])
        masks = "".join(", {} {}".format(name, arrays[name].sum()) for name in ("query", "train") if name in arrays)
        return "{}: {} x {}, {} classes of {} to {} (median {:g}){}".format(
            os.path.basename(path)[:-4], *arrays["features"].shape, len(sizes), sizes.min(), sizes.max(),
            np.median(sizes), masks)


if __name__ == "__main__":
    main()
