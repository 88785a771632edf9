"""The flags of `prepare` (datasets/prepare.py)."""
import argparse
import sys

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.layouts import LAYOUTS
from slim_retrieval.datasets.splits import MODES, SHARES


def parse(argv, description):
    """Return the flags as attributes; `typed` is the list of words that they were read from.

    Raises:
      InputError: an unknown flag or a value that is none.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    flags = _parser(description).parse_args(words)
    flags.typed = words
    return flags


def _number(kind, low, high, text):
    """Return a function that reads a number from `low` to `high` and says so when it is none."""
    def read(word):
        try:
            value = kind(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError("{!r} is not {}".format(word, text)) from error
        if not low <= value <= high:
            raise argparse.ArgumentTypeError("{} is not {}".format(word, text))
        return value
    return read


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError("{}; --help lists everything".format(message))


def _parser(description):
    parser = _Parser(prog="python -m slim_retrieval.datasets.prepare", description=description, allow_abbrev=False)
    count, share = _number(int, 1, 10**9, "a whole number of at least 1"), _number(float, 0, 1, "a share from 0 to 1")
    seed = _number(int, 0, 2**31 - 1, "a whole number from 0 to 2147483647")
    add = parser.add_argument
    add("path", metavar="PATH", help="folder or list of images")
    add("--output", metavar="DIR", help="where to write (default: prepared/<name>)")
    add("--name", help="of the data set and of its run (default: from PATH)")
    add("--layout", default="", metavar="NAME", help="do not guess: " + ", ".join(LAYOUTS))
    add("--split", default="", choices=["", *MODES], metavar="MODE", help="draw the splits anew: images (all classes "
        "are known) or classes (those searched were never trained on)")
    add("--shares", nargs=4, type=float, default=list(SHARES.values()), metavar="S", help="of train, validation, query "
        "and gallery, for splits that are drawn (default: {})".format(" ".join(map(str, SHARES.values()))))
    add("--validation", type=share, default=0.0, metavar="SHARE", help="where a benchmark has no validation split: "
        "this share of its training classes")
    add("--seed", type=seed, default=0, help="of everything that is drawn (default: 0)")
    add("--drop_leaks", action="store_true", help="leave training and validation images out that are identical or "
        "near-identical to one that is evaluated")
    add("--tfrecord", action="store_true", help="write TFRecord shards in slim's schema (needs TensorFlow)")
    add("--images_per_shard", type=count, default=10000, metavar="N", help="with --tfrecord (default: 10000)")
    add("--no_checks", action="store_true", help="do not look at the images, only whether the files are there")
    add("--workers", type=count, default=None, metavar="N", help="threads that look at images (default: one a core)")
    add("--like", default="", metavar="RUN", help="use the model of this run")
    add("--path_column", default="", metavar="NAME", help="list: column of the paths")
    add("--label_column", default="", metavar="NAME", help="list: column of the labels")
    add("--images", default="", metavar="DIR", help="list: what relative paths are relative to (default: the list)")
    add("--unlabelled", action="store_true", help="list, folders: search without labels")
    add("--class_folder", default="first", choices=["first", "last"], help="folders: of several folders deep, the "
        "class is the first (default) or the last")
    add("--distractors", default="", metavar="DIR", help="oxford5k, paris6k, roxford5k, rparis6k: images that join the "
        "gallery (Oxford100k, revisitop1m)")
    add("--boxes", action="store_true", help="cub200, cars196: crop to the bounding boxes")
    add("--rotations", action="store_true", help="omniglot: turned training characters as further classes")
    return parser
