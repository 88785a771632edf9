"""Reader `tfrecord` and its writer: slim's schema, tf.train.Example with

    image/encoded        bytes      the image file; its format is found from the bytes
    image/format         bytes      "png" or "jpeg"; not read
    image/class/label    int64      number of the class
    image/class/text     bytes      its name (optional)
    image/filename       bytes      (optional)
    image/height, width  int64      written, not read
    image/column/<name>  bytes      any other column of the table (written by `write_tfrecord`; optional)

A record on disk: length (uint64, little-endian), its checksum (4 bytes), the data, its checksum (4 bytes).
Opening the shards reads them once and checks every checksum; after that `load(i)` goes straight to a record.

Source: https://github.com/tensorflow/models/blob/master/research/slim/datasets/dataset_utils.py
"""
import glob
import os
import struct
from functools import partial

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import replacing
from slim_retrieval.common.progress import progress
from slim_retrieval.datasets.images import decode, encode_png, read_plain_file
from slim_retrieval.datasets.regions import BOX, ROTATION
from slim_retrieval.datasets.table import ImageTable, UnreadableImage, label_ids

_COLUMN = "image/column/"
_DAMAGED = "{} is truncated, damaged or compressed: {} after {} whole records; write it again"
_BEFORE, _AROUND = 12, 16  # bytes of the frame before the data; before and after together


def read_tfrecord(pattern):
    """Return the ImageTable of all shards that match a file pattern, in the order of their names.

    The label is image/class/text where every record has one, else the number as text. A record without
    image/filename is called <shard>/000012.

    Raises:
      InputError: no file matches, a shard is truncated or damaged, or a record lacks image/encoded or
        image/class/label.
    """
    shards = sorted(glob.glob(pattern))
    if not shards:
        raise InputError("no file matches {}; the source is a file pattern such as train-*.tfrecord".format(pattern))
    rows = []
    for shard in progress(shards, what="indexing " + pattern, unit="shard"):
        rows += _index(shard)
    paths, numbers, texts, columns, offsets, lengths, files = zip(*rows) if rows else ([],) * 7
    labels = texts if all(texts) else [str(number) for number in numbers]
    names = sorted({name for values in columns for name in values})
    table_columns = {name: [values.get(name, "") for values in columns] for name in names}
    return ImageTable(paths, dict(table_columns, label=labels), _Reader(paths, files, offsets, lengths))


def write_tfrecord(table, path, class_names=None, keep_files=False):
    """Write an ImageTable to one TFRecord file, complete or not at all; images become PNG, so no pixel changes.

    What is written is what the table reads: crops and turns (datasets/regions.py) are done; their columns stay.

    Args:
      class_names: names in the order of their numbers; the table's own sorted labels unless given. Give it when
        several files (splits, shards) are to share their numbers.
      keep_files: store JPEG and PNG files as they are where any reader sees in them what ours does: upright, whole,
        8 bits, grey or RGB.

    Raises:
      UnreadableImage: an image cannot be read.
      InputError: a label is not among `class_names`.
    """
    from slim_retrieval.common.tensorflow import tf
    names = list(class_names) if class_names is not None else label_ids(table)[1]
    numbers = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(table.columns["label"]) - set(numbers))
    if unknown:
        raise InputError("label {!r} is not among the {} class names".format(unknown[0], len(names)))
    with replacing(path) as temporary, tf.python_io.TFRecordWriter(temporary) as writer:
        for i in progress(range(len(table)), what="writing " + path, unit="img"):
            writer.write(_example(tf, table, i, numbers, keep_files).SerializeToString())


class _Reader:
    """Reads row i by its shard, offset and length."""

    def __init__(self, paths, files, offsets, lengths):
        self._paths, self._files = paths, files
        self._offsets, self._lengths = np.array(offsets, np.int64), np.array(lengths, np.int64)

    def __call__(self, i):
        from slim_retrieval.common.tensorflow import tf
        offset, length = int(self._offsets[i]), int(self._lengths[i])
        try:
            with open(self._files[i], "rb") as stream:  # its own handle, so that threads do not share a position
                stream.seek(offset)
                frame = stream.read(_BEFORE + length)
        except OSError as error:
            raise UnreadableImage(self._paths[i], "{}: {}".format(self._files[i], error.strerror)) from error
        if len(frame) < _BEFORE + length or struct.unpack("<Q", frame[:8])[0] != length:
            raise UnreadableImage(self._paths[i], "{} changed after it was opened".format(self._files[i]))
        features = tf.train.Example.FromString(frame[_BEFORE:]).features.feature
        return partial(decode, features["image/encoded"].bytes_list.value[0], self._paths[i])


def _index(shard):
    """Return (path, number, text, {column: value}, offset, length, shard) of each record."""
    from slim_retrieval.common.tensorflow import tf
    rows, offset = [], 0
    try:
        for record in tf.io.tf_record_iterator(shard):
            try:
                features = tf.train.Example.FromString(record).features.feature
            except Exception as error:  # protobuf's DecodeError moves between its versions
                raise InputError("{} record {} is no tf.train.Example: {}".format(shard, len(rows), error)) from error
            number, text, filename = _fields(features, "{} record {}".format(shard, len(rows)))
            extra = {key[len(_COLUMN):]: _text(features, key) for key in features if key.startswith(_COLUMN)}
            name = filename or "{}/{:06d}".format(os.path.basename(shard), len(rows))
            rows.append((name, number, text, extra, offset, len(record), shard))
            offset += len(record) + _AROUND
    except tf.errors.DataLossError as error:
        raise InputError(_DAMAGED.format(shard, error.message.split("\n")[0], len(rows))) from error
    if offset != os.path.getsize(shard):  # TensorFlow takes a piece of a record's length for the end of the file.
        raise InputError(_DAMAGED.format(shard, "{} bytes too many".format(os.path.getsize(shard) - offset), len(rows)))
    return rows


def _fields(features, where):
    for key, kind in [("image/encoded", "bytes_list"), ("image/class/label", "int64_list")]:
        if key not in features or not getattr(features[key], kind).value:
            raise InputError("{}: no {} (it has {}); the reader needs slim's schema".format(
                where, key, ", ".join(sorted(features)) or "nothing"))
    return (features["image/class/label"].int64_list.value[0], _text(features, "image/class/text"),
            _text(features, "image/filename"))


def _text(features, key):
    # Looking a missing key up in a protobuf map would add it.
    values = features[key].bytes_list.value if key in features else []
    return values[0].decode("utf-8", "replace") if values else ""


def _encoded(table, i, keep_files):
    """Return (bytes, format, height, width) of row i."""
    is_whole = not any(table.columns[name][i] for name in (BOX, ROTATION) if name in table.columns)
    file = read_plain_file(table.paths[i]) if keep_files and is_whole else None
    if file is not None:
        return file
    image = table.load(i)
    return encode_png(image), "png", image.shape[0], image.shape[1]


def _example(tf, table, i, numbers, keep_files):
    def text(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(
            value=[v if isinstance(v, bytes) else v.encode("utf-8") for v in values]))

    def integer(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    label, (encoded, kind, height, width) = table.columns["label"][i], _encoded(table, i, keep_files)
    features = {"image/encoded": text(encoded), "image/format": text(kind),
                "image/class/label": integer(numbers[label]), "image/class/text": text(label),
                "image/filename": text(table.paths[i]),
                "image/height": integer(height), "image/width": integer(width)}
    features.update({_COLUMN + name: text(values[i]) for name, values in table.columns.items() if name != "label"})
    return tf.train.Example(features=tf.train.Features(feature=features))
