"""Which checkpoint of a run is read, and whether it is whole."""
import os

from slim_retrieval.common.checkpoint_files import best, complete, latest, step_of
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf


def choose(directory, wanted="latest"):
    """Return the path (prefix) of the checkpoint that `wanted` names: latest, best or a step.

    Raises:
      InputError: there is none.
    """
    paths = dict(complete(directory))
    if not paths:
        raise InputError("no checkpoint in {}; train first (train_multi_gpu.py --config ...)".format(directory))
    if wanted == "latest":
        return latest(directory)
    if wanted == "best" and best(directory) is None:
        raise InputError("no checkpoint in {} was kept as the best; train with training.validate_every_steps, or take "
                         "latest or a step: {}".format(directory, _listed(paths)))
    if wanted != "best" and not (wanted.isdigit() and int(wanted) in paths):
        raise InputError("{} has no checkpoint {!r}; take latest, best or a step: {}".format(
            directory, wanted, _listed(paths)))
    return best(directory) if wanted == "best" else paths[int(wanted)]


def check_whole(path):
    """Read a checkpoint through, checksums included.

    Raises:
      InputError: it is damaged; the message names the newest one before it that is whole.
    """
    reason = _damage(path)
    if not reason:
        return
    directory, name = os.path.split(path)
    before = [p for step, p in sorted(complete(directory), reverse=True) if step < step_of(path)]
    whole = next((p for p in before if not _damage(p)), None)
    advice = ("{} before it is whole: delete {}.index to go on from there with the same command".format(
        os.path.basename(whole), name) if whole else "there is no whole one before it: train under another --run.name")
    raise InputError("checkpoint {} is damaged ({}); {}".format(path, reason, advice))


def variable_names(path):
    """Return the names of the variables in a checkpoint."""
    return sorted(tf.train.NewCheckpointReader(path).get_variable_to_shape_map())


def _damage(path):
    """Return why a checkpoint cannot be read, or ''."""
    try:
        reader = tf.train.NewCheckpointReader(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # TensorFlow raises IndexError, RuntimeError or its own, by version.
        return str(error).split("\n")[0]
    return ""


def _listed(paths):
    return ", ".join(str(step) for step in sorted(paths))
