"""Which checkpoints stay: the newest few, one every so many hours or steps, and the best by a validation metric.

    checkpoints/kept.json   {"saved": {"1000": unix time, ...}, "best": {"step": 1000, "value": 0.81}}
"""
import math
import os

from slim_retrieval.common.checkpoint_files import KEPT, read_kept
from slim_retrieval.common.files import write_json


def expired(times, best_step, max_to_keep, every_n_hours=0, every_n_steps=0):
    """Return the steps, ascending, whose checkpoints are to be deleted.

    Deleting them changes nothing in what a later call says of the others, so a stop in between does no harm.

    Args:
      times: {step: unix time at which its checkpoint was saved}.
      best_step: the step that stays as the best, or None.
      max_to_keep: newest that stay; 0: all.
      every_n_hours: of the older ones, the first stays and then each that was saved this long after the last that did
        so (Saver's keep_checkpoint_every_n_hours); 0: none for this reason.
      every_n_steps: older ones whose step is a multiple of it stay; 0: none for this reason.
    """
    steps = sorted(times)
    old = steps[:-max_to_keep] if max_to_keep else []
    stay, last = {best_step}, -math.inf
    for step in steps if every_n_hours else ():
        if times[step] >= last + 3600 * every_n_hours:
            stay.add(step)
            last = times[step]
    return [step for step in old if step not in stay and not (every_n_steps and step % every_n_steps == 0)]


def note_saved(directory, times):
    """Store when each checkpoint was saved: {step: unix time}. A copied run has other file times."""
    _write(directory, dict(read_kept(directory), saved={str(step): time for step, time in sorted(times.items())}))


def saved_times(directory, steps, now):
    """Return {step: unix time}: as stored, or `now` for a step that is not."""
    saved = read_kept(directory)["saved"]
    return {step: saved.get(str(step), now) for step in steps}


def note_best(directory, step, value):
    """Store `step` as the best if `value` is higher than all before it; return whether it is. NaN is never best."""
    before = read_kept(directory)
    if math.isnan(value) or before["best"] and before["best"]["value"] >= value:
        return False
    _write(directory, dict(before, best={"step": int(step), "value": float(value)}))
    return True


def _write(directory, kept):
    write_json(os.path.join(directory, KEPT), kept)
