"""Reader `idx`: the MNIST family's files.

    <prefix>-images-idx3-ubyte[.gz]     magic 2051, count, height, width (big-endian uint32), then uint8 pixels
    <prefix>-labels-idx1-ubyte[.gz]     magic 2049, count, then uint8 labels
    labels.txt                          optional, beside them: one class name per line, label 0 first

Source: http://yann.lecun.com/exdb/mnist/
"""
import gzip
import os
import struct
import zlib

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.table import ImageTable

IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"


def read_idx(prefix):
    """Return the ImageTable of the files with this prefix (such as data/t10k); paths are t10k/000000 and on.

    Labels are the numbers as text, or the names in labels.txt. Grey pixels are repeated in three channels.

    Raises:
      InputError: a file is missing, is no IDX file, is truncated or too long, or the counts differ.
    """
    images = read_array(_find(prefix + IMAGES), 3)
    labels = read_array(_find(prefix + LABELS), 1)
    if len(images) != len(labels):
        raise InputError("{0}{1} has {3} images but {0}{2} has {4} labels; the files do not belong together".format(
            prefix, IMAGES, LABELS, len(images), len(labels)))
    stem = os.path.basename(prefix)
    paths = ["{}/{:06d}".format(stem, i) for i in range(len(images))]
    return ImageTable(paths, {"label": _label_texts(prefix, labels)},
                      lambda i: np.repeat(images[i][:, :, None], 3, axis=2))


def read_array(path, dimensions):
    """Return the uint8 array in an IDX file of that many dimensions; a file that is not compressed is memory-mapped."""
    content = _content(path)
    size = 4 + 4 * dimensions
    header = bytes(content[:size])
    if len(header) < size:
        raise InputError("{} is truncated: {} bytes, the header alone has {}".format(path, len(header), size))
    magic, *shape = struct.unpack(">{}I".format(1 + dimensions), header)
    expected = 0x800 + dimensions  # 0x08: unsigned bytes
    if magic != expected:
        raise InputError("{} is not an IDX file of {} dimensions: its magic number is {}, not {}".format(
            path, dimensions, magic, expected))
    have, need = len(content) - size, int(np.prod(shape, dtype=np.int64))
    if have != need:
        raise InputError("{} is {}: {} bytes of data for shape {}, which needs {}; fetch it again".format(
            path, "truncated" if have < need else "too long", have, tuple(shape), need))
    return content[size:].reshape(shape)


def _find(path):
    for name in (path, path + ".gz"):
        if os.path.isfile(name):
            return name
    raise InputError("no file {0} or {0}.gz; the source is the files' prefix, such as train or t10k".format(path))


def _content(path):
    """Return all bytes of a file, decompressed, as a uint8 array."""
    if not path.endswith(".gz"):
        # An empty file cannot be memory-mapped.
        return np.memmap(path, np.uint8, "r") if os.path.getsize(path) else np.zeros(0, np.uint8)
    try:
        with gzip.open(path) as stream:
            return np.frombuffer(stream.read(), np.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("{} cannot be decompressed ({}); fetch it again".format(path, error)) from error


def _label_texts(prefix, labels):
    path = os.path.join(os.path.dirname(prefix), "labels.txt")
    if not os.path.isfile(path):
        return [str(label) for label in labels]
    with open(path, encoding="utf-8") as stream:
        names = stream.read().splitlines()
    if len(labels) and labels.max() >= len(names):
        raise InputError("{} names {} classes but {}{} has label {}".format(
            path, len(names), prefix, LABELS, labels.max()))
    return [names[label] for label in labels]
