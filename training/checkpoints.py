"""Checkpoints are written: complete or absent, never half (common/checkpoint_files.py finds them).

    checkpoints/model.json              what was trained: model options, preprocessing, classes
    checkpoints/model.ckpt-1000.index   a Saver checkpoint of step 1000: the index ...
    checkpoints/model.ckpt-1000.data-*  ... and the values
    checkpoints/checkpoint              names the newest; written last
    checkpoints/kept.json               when each was saved, and which is the best (training/keeping.py)

A checkpoint is written into a folder of its own and then renamed into place, the index last: a checkpoint whose
index is there is whole.
"""
import errno
import glob
import os
import time

from slim_retrieval.common.checkpoint_files import PREFIX, best_step, complete
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import remove, write_text
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import keeping


def keep_best(directory, step, value):
    """Keep the checkpoint of `step` as the best if `value` is higher than those before; return whether it is.

    The best is not deleted however old it gets; the one that was the best so far is deleted with the next `save`,
    unless it stays for another reason. What was the best is remembered when a run is resumed.

    Args:
      value: the validation metric; higher is better, NaN never is.

    Raises:
      InputError: there is no checkpoint of `step`: save it first.
    """
    if step not in dict(complete(directory)):
        raise InputError("no checkpoint of step {} in {} to keep as the best; save it first".format(step, directory))
    return keeping.note_best(directory, step, value)


def save(session, saver, directory, step, max_to_keep, every_n_hours=0, every_n_steps=0):
    """Write a checkpoint of `step`; delete those that need not stay (keeping.expired); return its path.

    Raises:
      OSError: the disk is full. What was there before is untouched.
    """
    temporary = os.path.join(directory, ".partial")
    remove(temporary)
    os.makedirs(temporary)
    name = "{}-{}".format(PREFIX, step)
    try:
        saver.save(session, os.path.join(temporary, name), write_meta_graph=False, write_state=False)
        # The index is renamed last: it is what makes a checkpoint count.
        for file in sorted(os.listdir(temporary), key=lambda f: f.endswith(".index")):
            os.replace(os.path.join(temporary, file), os.path.join(directory, file))
    except (tf.errors.OpError, OSError) as error:
        raise _as_os_error(error, os.path.join(directory, name)) from error
    finally:
        remove(temporary)
    _delete_expired(directory, step, max_to_keep, every_n_hours, every_n_steps)
    return os.path.join(directory, name)


def restore(session, saver, path):
    """Restore everything the saver covers from `path`.

    Raises:
      InputError: the checkpoint does not fit the graph; the message is the first line of the reason.
    """
    try:
        saver.restore(session, path)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError, tf.errors.DataLossError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError("checkpoint {} does not fit this network: {}; was the configuration changed since?".format(
            path, reason)) from error


def _delete_expired(directory, step, *policy):
    """Delete what need not stay now that `step` is saved, and name the rest in TensorFlow's own file."""
    paths, now = dict(complete(directory)), time.time()
    times = keeping.saved_times(directory, paths, now)
    times[step] = now
    for old in keeping.expired(times, best_step(directory), *policy):
        _delete(paths.pop(old))
    keeping.note_saved(directory, {step: times[step] for step in paths})
    _write_state(directory, [os.path.basename(paths[step]) for step in sorted(paths)])


def _delete(path):
    remove(path + ".index")  # first: without an index the rest no longer counts as a checkpoint
    for file in glob.glob(glob.escape(path) + ".data-*"):
        remove(file)


def _write_state(directory, names):
    """Write TensorFlow's own `checkpoint` file, with relative names so that the run can be moved."""
    lines = ['model_checkpoint_path: "{}"'.format(names[-1])]
    lines += ['all_model_checkpoint_paths: "{}"'.format(name) for name in names]
    write_text(os.path.join(directory, "checkpoint"), "\n".join(lines) + "\n")


def _as_os_error(error, path):
    """Return a full disk as an OSError that says so; Saver hands it on as text inside an error of its own."""
    text = str(error)
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number), path)
    return error
