"""Which checkpoints a folder holds; what is in them, and how they get there, is training/checkpoints.py.

    checkpoints/model.ckpt-1000.index   a Saver checkpoint of step 1000: the index ...
    checkpoints/model.ckpt-1000.data-*  ... and the values
    checkpoints/kept.json               {"saved": {"1000": unix time, ...}, "best": {"step": 1000, "value": 0.81}}

The index is put in place last: a checkpoint whose index is there is whole.
"""
import glob
import os
import re

from slim_retrieval.common.files import read_json

PREFIX, KEPT = "model.ckpt", "kept.json"


def complete(directory):
    """Yield (step, path) of every checkpoint whose index and values are there."""
    for index in glob.glob(os.path.join(glob.escape(directory), PREFIX + "-*.index")):
        prefix = index[:-len(".index")]
        if re.search(r"-\d+$", prefix) and glob.glob(glob.escape(prefix) + ".data-*"):
            yield step_of(prefix), prefix


def steps(directory):
    """Return the steps of all complete checkpoints in `directory`, ascending."""
    return sorted(step for step, _ in complete(directory))


def step_of(path):
    """Return the step in a checkpoint's name."""
    return int(path.rsplit("-", 1)[1])


def latest(directory):
    """Return the path (prefix) of the newest complete checkpoint in `directory`, or None."""
    return max(complete(directory), default=(0, None))[1]


def best(directory):
    """Return the path (prefix) of the checkpoint of the highest validation metric, or None."""
    return dict(complete(directory)).get(best_step(directory))


def best_step(directory):
    """Return the best step so far, or None."""
    found = read_kept(directory)["best"]
    return found["step"] if found else None


def read_kept(directory):
    """Return what kept.json holds."""
    path = os.path.join(directory, KEPT)
    return read_json(path) if os.path.exists(path) else {"saved": {}, "best": None}
