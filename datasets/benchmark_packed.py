"""The MNIST family and CIFAR: images inside larger files, which stay there (readers idx and cifar).

    mnist    PATH/<prefix>train-images-idx3-ubyte[.gz] and <prefix>t10k-... or test-...; Fashion-MNIST and others too
    cifar    the forms in datasets/cifar.py; PATH may be the folder or one above

The training images train and validate; of the test images a tenth searches the rest. All classes are known: these are
closed sets.

Sources: http://yann.lecun.com/exdb/mnist/; https://www.cs.toronto.edu/~kriz/cifar.html
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.cifar import is_cifar as holds_cifar
from slim_retrieval.datasets.cifar import read_cifar
from slim_retrieval.datasets.factory import part_rows
from slim_retrieval.datasets.found import Found, folder_contents
from slim_retrieval.datasets.idx import IMAGES, read_idx

VALIDATION, QUERIES = 0.1, 0.1


def is_mnist(path):
    """Return whether the training and test files of the MNIST family lie in the folder."""
    return _prefixes(path) is not None


def is_cifar(path):
    """Return whether CIFAR lies in the folder or one of its folders."""
    return _cifar_folder(path) is not None


def read_mnist(path, options):
    """Return the `Found` of a member of the MNIST family."""
    prefixes = _prefixes(path)
    if prefixes is None:
        raise InputError("{0} holds no train{1} beside t10k{1} or test{1} (.gz or not)".format(path, IMAGES))
    return _found(path, "idx", read_idx, prefixes, options["seed"])


def read_cifar_folder(path, options):
    """Return the `Found` of CIFAR-10 or CIFAR-100."""
    folder = _cifar_folder(path)
    if folder is None:
        raise InputError("{} holds no CIFAR files, nor does a folder in it; see datasets/cifar.py for the forms".format(
            path))
    inside = os.path.relpath(folder, path)
    return _found(path, "cifar", read_cifar, [os.path.normpath(os.path.join(inside, split))
                                              for split in ("train", "test")], options["seed"])


def _found(path, reader, read, sources, seed):
    train, test = (read(os.path.join(path, source)) for source in sources)
    parts = {"train": (train, sources[0], [0.0, 1 - VALIDATION]),
             "validation": (train, sources[0], [1 - VALIDATION, 1.0]),
             "query": (test, sources[1], [0.0, QUERIES]), "gallery": (test, sources[1], [QUERIES, 1.0])}
    return Found({split: table.subset(part_rows(len(table), part[0], part[1], seed))
                  for split, (table, _, part) in parts.items()},
                 reader=reader, notes=["a tenth of the training images, drawn by the seed, is validation; a tenth of "
                                       "the test images searches the rest; all classes are known"],
                 sources={split: (source, part) for split, (_, source, part) in parts.items()})


def _prefixes(path):
    """Return the two prefixes, or None."""
    names = os.listdir(path) if os.path.isdir(path) else []
    prefixes = {name[:name.index(IMAGES)] for name in names if IMAGES in name}
    for prefix in sorted(prefixes):
        for test in ("t10k", "test"):
            if prefix.endswith("train") and prefix[:-len("train")] + test in prefixes:
                return [prefix, prefix[:-len("train")] + test]
    return None


def _cifar_folder(path):
    if not os.path.isdir(path):
        return None
    candidates = [path] + [os.path.join(path, name) for name in folder_contents(path)[0]]
    return next((folder for folder in candidates if holds_cifar(folder)), None)
