"""The files of a fitted CFA: all that `transform`, a search and growing need. Arrays are mapped, not read.

    <folder>/arrays-<token>/gallery_.npy   one array each
    <folder>/meta.json                     token, key, settings, the plain data, each array's type and shape

meta.json is put in place last, when the arrays of another token are still there: a process that is killed leaves the
index of before. Nothing in the files is pickled.
"""
import os
import time

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.graph.cfa_automatic import Output

FORMAT = 2  # raised also when `fit` comes to give something else for the same settings: older indexes are built anew
STATE = ["gallery_", "original_", "source_", "mean_", "edge_mean_", "signatures_", "systems_", "growth_", "levels_"]


def save(model, folder, key, gallery):
    """Write a fitted CFA into `folder`; another index there is replaced.

    Args:
      model: CFA after `fit`. Side information is not kept: `transform` does not ask for it.
      key: str, hash of all settings that the fit depended on, which `load` wants to hear again.
      gallery: str, hash of the gallery's features.
    """
    arrays, token = {}, "arrays-" + files.digest(key, gallery, os.getpid(), time.time())
    state = {name: _pack(name, getattr(model, name), arrays) for name in STATE if name != "levels_" or model.levels}
    for name, array in arrays.items():
        files.write_array(os.path.join(folder, token, name + ".npy"), array)
    files.write_json(os.path.join(folder, "meta.json"), {
        "format": FORMAT, "token": token, "key": key, "gallery": gallery, "state": state, "report": model.report_,
        "settings": {name: value for name, value in vars(model).items() if not name.endswith("_")},
        "parts": [[part.start, part.stop] for part in model.parts_],
        "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}})
    for name in os.listdir(folder):
        # Of the index before, or of a process that was killed; .npy: of format 1.
        if name.startswith("arrays-") and name != token or name.endswith(".npy"):
            files.remove(os.path.join(folder, name))


def gallery_of(folder):
    """Return the hash of the gallery's features that an index was saved with."""
    return files.read_json(os.path.join(folder, "meta.json"))["gallery"]


def load(folder, key, gallery=None):
    """Return the CFA that `save` wrote with this key; its `transform` gives what the saved one's gives, bit by bit.

    Args:
      gallery: hash of the gallery's features; None: whatever they were.

    Raises:
      InputError: no index, one of other settings, another gallery or format, or a damaged one.
    """
    path = os.path.join(folder, "meta.json")
    if not os.path.isfile(path):
        raise InputError("no index in {}".format(folder))
    meta = files.read_json(path)
    if not isinstance(meta, dict) or (meta.get("format"), meta.get("key")) != (FORMAT, key):
        raise InputError("the index in {} is of other settings".format(folder))
    if gallery not in (None, meta.get("gallery")):
        raise InputError("the index in {} is of another gallery".format(folder))
    try:
        arrays = {name: files.map_array(os.path.join(folder, meta["token"], name + ".npy"), *about)
                  for name, about in meta["arrays"].items()}
        model = CFA(**meta["settings"])
        for name, packed in meta["state"].items():
            setattr(model, name, _unpack(packed, arrays))
        model.parts_ = [slice(*part) for part in meta["parts"]]
        model.report_, model.side_ = meta["report"], None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError("the index in {} is damaged ({}: {})".format(folder, type(error).__name__, error)) from error
    if not model.levels:
        model.levels_ = [Output(model.gallery_, model.original_, model.parts_, model.residual)]
    return model


def _pack(name, value, arrays):
    """Return `value` as JSON has it; arrays go to `arrays` under names made of `name`, each array once.

    A float32 keeps its type: a Python float in its place would make float64 of what it is multiplied by.
    """
    if isinstance(value, np.ndarray):
        known = next((other for other, array in arrays.items() if array is value), name)
        arrays[known] = value
        return {"array": known}
    if isinstance(value, np.float32):
        return {"float32": float(value)}
    if isinstance(value, dict):
        return {key: _pack("{}.{}".format(name, key), part, arrays) for key, part in value.items()}
    if isinstance(value, list):
        return [_pack("{}.{}".format(name, number), part, arrays) for number, part in enumerate(value)]
    return value


def _unpack(value, arrays):
    """Return what `_pack` was given."""
    if isinstance(value, list):
        return [_unpack(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"array"}:
        return arrays[value["array"]]
    if set(value) == {"float32"}:
        return np.float32(value["float32"])
    return {key: _unpack(part, arrays) for key, part in value.items()}
