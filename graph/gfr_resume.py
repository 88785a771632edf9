"""What a stopped training of GFR's networks left behind: weights and slots after its last whole epoch, one .npz.

The file names what it belongs to by a hash; one of other settings, features or labels, or a damaged one, is
passed over.
"""
import collections
import json
import os
import zipfile

import numpy as np

from slim_retrieval.common import files

# epoch: whole epochs that are done. values: arrays. report: dict of the last of them. seconds: spent so far.
State = collections.namedtuple("State", "epoch values report seconds")


def write(path, key, state):
    """Write a State for `key` to `path`, complete or not at all."""
    meta = json.dumps({"key": key, "epoch": state.epoch, "report": state.report, "seconds": state.seconds})
    with files.replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, meta=np.array(meta), **{str(i): value for i, value in enumerate(state.values)})


def read(path, key):
    """Return the State that was written for `key`, or None where there is none that can be used."""
    if path is None or not os.path.isfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            if meta["key"] != key:
                return None
            values = [stored[str(i)] for i in range(len(stored.files) - 1)]
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        return None
    return State(meta["epoch"], values, meta["report"], meta["seconds"])
