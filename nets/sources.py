"""Weights from any file that pretrained networks come in, as {name there: array}."""
import glob
import os
import zipfile

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.keras_import import read_layers
from slim_retrieval.nets.torch_files import is_legacy, read_safetensors, read_torch

FORMATS = ("a slim checkpoint (file, prefix or folder), a frozen .pb, Keras' .h5, PyTorch's .pth or .safetensors, or "
           ".npz")


def read_source(path):
    """Return (format, {name: array}); the format is told by the content, not by the name.

    Formats: checkpoint, frozen, keras (names are layer/weight), torch, safetensors, npz.

    Raises:
      InputError: no such file, none of these formats, or damaged.
    """
    path = os.path.expanduser(path)
    kind = _format(path)
    arrays = READERS[kind](path)
    if not arrays:
        raise InputError("{} holds no weights; give {}".format(path, FORMATS))
    return kind, arrays


def checkpoint_prefix(path):
    """Return what TensorFlow opens for a prefix, one of its files, a file of the old format (V1), or a folder.

    Raises:
      InputError: nothing there, or a folder with several checkpoints and no record of the newest.
    """
    if os.path.isdir(path):
        newest = tf.train.latest_checkpoint(path)
        found = [newest] if newest else sorted(glob.glob(os.path.join(glob.escape(path), "*.index")) or
                                               glob.glob(os.path.join(glob.escape(path), "*.ckpt")))
        if len(found) != 1:
            raise InputError("{} holds {} checkpoints{}; name one".format(
                path, len(found), ", e.g. " + os.path.basename(found[0]) if found else ""))
        path = found[0]
    for ending in (".index", ".meta"):
        path = path[:-len(ending)] if path.endswith(ending) else path
    return path.split(".data-0")[0]


def _format(path):
    if os.path.isdir(path) or glob.glob(glob.escape(checkpoint_prefix(path)) + ".index"):
        return "checkpoint"
    if not os.path.isfile(path):
        raise InputError("no file {}; give {}".format(path, FORMATS))
    with open(path, "rb") as stream:
        head = stream.read(16)
    if head.startswith(b"\x89HDF"):
        return "keras"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("/data.pkl") for name in names):
            return "torch"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
        raise InputError("{} is a zip of {}; give {}".format(path, ", ".join(names[:3]), FORMATS))
    if is_legacy(path):
        return "torch"
    if head[8:9] == b"{":
        return "safetensors"
    return "frozen" if path.endswith(".pb") else "checkpoint"


def _read_checkpoint(path):
    prefix = checkpoint_prefix(path)
    try:
        reader = tf.train.NewCheckpointReader(prefix)
        return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}
    except Exception as error:  # TensorFlow raises RuntimeError, ValueError or its own, by version.
        raise InputError("{} cannot be read as a checkpoint ({}); give {}".format(
            path, str(error).strip().split("\n")[0], FORMATS)) from error


def _read_frozen(path):
    """Return the constants of a frozen graph: variables that were turned into constants keep their names."""
    graph = tf.GraphDef()
    try:
        with open(path, "rb") as stream:
            graph.ParseFromString(stream.read())
        return {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in graph.node if node.op == "Const"}
    except Exception as error:  # protobuf's DecodeError lies elsewhere in each version
        raise InputError("{} is no frozen graph ({}); a SavedModel must be frozen first".format(path, error)) from error


def _read_keras(path):
    found = {}
    for layer, weight, array in read_layers(path):
        name = "{}/{}".format(layer, weight)
        if name in found:
            raise InputError("{} holds {} twice; save a model that contains one network".format(path, name))
        found[name] = array
    return found


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile's, zlib's and NumPy's own
        raise InputError("{} cannot be read ({}); fetch it again".format(path, error)) from error


READERS = {"checkpoint": _read_checkpoint, "frozen": _read_frozen, "keras": _read_keras, "torch": read_torch,
           "safetensors": read_safetensors, "npz": _read_npz}
