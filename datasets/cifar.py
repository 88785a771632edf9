"""Reader `cifar`: CIFAR-10 and CIFAR-100 as their author packs them, in Python's form or in the binary form.

    <folder>/data_batch_1 ... data_batch_5, test_batch, batches.meta    CIFAR-10, pickles
    <folder>/data_batch_1.bin ... test_batch.bin, batches.meta.txt      CIFAR-10: a label and 3,072 bytes for each image
    <folder>/train, test, meta                                          CIFAR-100, pickles
    <folder>/train.bin, test.bin, fine_label_names.txt, coarse_...      CIFAR-100: coarse label, fine label, 3,072 bytes

The source is <folder>/train or <folder>/test. An image is 1,024 red, green and blue bytes, row by row, of 32 x 32
pixels. Pickles are read by an unpickler for plain data. Paths are train/000000 and on; of CIFAR-100 the label is the
fine one, and `superclass` the coarse.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""
import glob
import os

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.restricted_pickle import read_pickle
from slim_retrieval.datasets.found import read_lines
from slim_retrieval.datasets.table import ImageTable

PIXELS = 3 * 32 * 32
# The files of each split, and how many labels an image has: (pattern, labels).
PICKLED = {"train": ("data_batch_[0-9]", 1), "test": ("test_batch", 1)}
BINARY = {"train": [("data_batch_[0-9].bin", 1), ("train.bin", 2)], "test": [("test_batch.bin", 1), ("test.bin", 2)]}


def read_cifar(source):
    """Return the ImageTable of <folder>/train or <folder>/test.

    Raises:
      InputError: another name, no files, or files that are damaged or of another form.
    """
    folder, split = os.path.split(source)
    if split not in ("train", "test"):
        raise InputError("{}: the source of reader cifar is train or test".format(source))
    for read in (_binary, _pickled):
        found = read(folder, split)
        if found is not None:
            images, labels, names = found
            break
    else:
        raise InputError("no CIFAR files of the {} images in {}; the source is the folder and train or test".format(
            split, folder))
    columns = {"label": _named(labels[0], names[0], folder)}
    if len(labels) > 1:
        columns["superclass"] = _named(labels[1], names[1], folder)
    paths = ["{}/{:06d}".format(split, i) for i in range(len(images))]
    return ImageTable(paths, columns, lambda i: np.ascontiguousarray(images[i].reshape(3, 32, 32).transpose(1, 2, 0)))


def is_cifar(folder):
    """Return whether the folder holds CIFAR's files in one of their forms."""
    marks = ["test_batch", "test_batch.bin"]
    return any(os.path.isfile(os.path.join(folder, mark)) for mark in marks) or all(
        os.path.isfile(os.path.join(folder, mark)) for mark in ("train", "test", "meta")) or all(
        os.path.isfile(os.path.join(folder, mark)) for mark in ("train.bin", "test.bin"))


def _binary(folder, split):
    for pattern, count in BINARY[split]:
        files = sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
        if files:
            parts = [_records(file, count + PIXELS) for file in files]
            labels = [np.concatenate([part[:, i] for part in parts]) for i in range(count)][::-1]  # fine is the last
            texts = ["batches.meta.txt"] if count == 1 else ["fine_label_names.txt", "coarse_label_names.txt"]
            return np.concatenate([part[:, count:] for part in parts]), labels, [
                _lines(os.path.join(folder, text)) for text in texts]
    return None


def _records(file, width):
    content = np.fromfile(file, np.uint8)
    if not len(content) or len(content) % width:
        raise InputError("{} has {:,} bytes, which are no records of {:,}; fetch it again".format(
            file, len(content), width))
    return content.reshape(-1, width)


def _pickled(folder, split):
    files = sorted(glob.glob(os.path.join(glob.escape(folder), PICKLED[split][0])))
    keys, meta, names = ["labels"], "batches.meta", ["label_names"]
    if not files and os.path.isfile(os.path.join(folder, split)):
        files = [os.path.join(folder, split)]
        keys, meta, names = ["fine_labels", "coarse_labels"], "meta", ["fine_label_names", "coarse_label_names"]
    if not files:
        return None
    parts = [_checked(read_pickle(file), keys, file) for file in files]
    labels = [np.concatenate([np.asarray(part[key], np.int64) for part in parts]) for key in keys]
    known = read_pickle(os.path.join(folder, meta)) if os.path.isfile(os.path.join(folder, meta)) else {}
    return np.concatenate([part["data"] for part in parts]), labels, [known.get(name, []) for name in names]


def _checked(content, keys, file):
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS or any(
            len(content.get(key, ())) != len(data) for key in keys):
        raise InputError("{} is not of CIFAR's form: a dict with data, uint8 [n, {:,}], and {}, n each".format(
            file, PIXELS, " and ".join(keys)))
    return content


def _lines(path):
    return read_lines(path) if os.path.isfile(path) else []


def _named(numbers, names, folder):
    """Return the labels as names, or as numbers where no names are there."""
    if not len(names):
        return [str(number) for number in numbers]
    if numbers.max() >= len(names):
        raise InputError("{}: label {} but only {} names".format(folder, numbers.max(), len(names)))
    return [str(names[number]) for number in numbers]
