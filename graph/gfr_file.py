"""The file of a trained GFR: an .npz with P0, W0, P1, W1, ... and `meta`, a JSON text. Nothing in it is pickled."""
import json
import os
import zipfile

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.gfr_layer import Layer

FORMAT = 1
KEYS = ["seed", "width", "options", "report"]


def write(path, weights, meta):
    """Write a list of Layer and the dict `meta` with KEYS to `path`, complete or not at all."""
    arrays = {name + str(i): getattr(pair, name) for i, pair in enumerate(weights) for name in Layer._fields}
    text = json.dumps(dict(meta, format=FORMAT), sort_keys=True)
    with files.replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, meta=np.array(text), **arrays)


def read(path):
    """Return (arrays by name, meta dict with KEYS) of a file that `write` wrote.

    Raises:
      InputError: no such file, another kind of file, another format.
    """
    if not os.path.isfile(path):
        raise InputError("no file {}; train a GFR first, or give another gfr.checkpoint".format(path))
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["format"]
        if found == FORMAT:
            meta = {key: meta[key] for key in KEYS}
    # np.load gives a bare array (no context manager, no .files) for an .npy file.
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError("{} is not a file that GFR.save wrote ({}: {}); train again".format(
            path, type(error).__name__, error)) from error
    if found != FORMAT:
        raise InputError("{} has format {}, this version reads {}; train again".format(path, found, FORMAT))
    return arrays, meta


def layers(path, arrays, shapes):
    """Return the list of Layer in `arrays`; refuse shapes other than `shapes`, [(shape of P, shape of W)]."""
    return [Layer(*(_array(path, arrays, name + str(i), shape) for name, shape in zip(Layer._fields, pair)))
            for i, pair in enumerate(shapes)]


def _array(path, arrays, name, shape):
    found = arrays[name].shape if name in arrays else "none"
    if found != shape:
        raise InputError("{}: {} has shape {}, its options ask for {}; train again".format(path, name, found, shape))
    return arrays[name].astype(np.float32)
