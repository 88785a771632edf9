"""Learning rate schedules by name. A schedule counts steps of the global batch, whatever the number of towers.

Each is the function of tf.train that bears its name; defaults and meanings are those of schema.ScheduleConfig.
"""
import dataclasses

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.schema import ScheduleConfig
from slim_retrieval.common.tensorflow import tf


def learning_rate(options, global_step):
    """Return the learning rate at `global_step`: a float32 scalar tensor.

    Args:
      options: plain dict of schema.ScheduleConfig; what is left out takes its default there.
      global_step: integer scalar tensor or variable that counts applied updates, one per global batch: with N towers
        it is still incremented once per update, so that decay_steps means the same for any N.
    Raises:
      InputError: unknown schedule or option, or piecewise values that do not fit the boundaries.
    """
    complete = check_schedule(options)
    with tf.name_scope("learning_rate"):
        return SCHEDULES[complete["name"]](complete, tf.convert_to_tensor(global_step))


def check_schedule(options):
    """Return `options` with defaults filled in, checked without building any graph.

    Raises:
      InputError: as `learning_rate`.
    """
    complete = dataclasses.asdict(ScheduleConfig())
    for key in options:
        lookup(complete, key, "schedule option")
    complete.update(options)
    lookup(SCHEDULES, complete["name"], "schedule")
    if complete["name"] == "piecewise":
        _check_piecewise(complete["boundaries"], complete["values"])
    return complete


def _check_piecewise(boundaries, values):
    if len(values) != len(boundaries) + 1:
        raise InputError("piecewise schedule: {} boundaries need {} values, got {}; give one value more than "
                         "boundaries".format(len(boundaries), len(boundaries) + 1, len(values)))
    if any(after <= before for before, after in zip(boundaries, boundaries[1:])):
        raise InputError("piecewise schedule: boundaries must ascend, got {}".format(list(boundaries)))


def _fixed(o, step):
    return tf.constant(o["learning_rate"], tf.float32)


def _exponential(o, step):
    return tf.train.exponential_decay(o["learning_rate"], step, o["decay_steps"], o["decay_rate"], o["staircase"])


def _natural_exp(o, step):
    return tf.train.natural_exp_decay(o["learning_rate"], step, o["decay_steps"], o["decay_rate"], o["staircase"])


def _inverse_time(o, step):
    return tf.train.inverse_time_decay(o["learning_rate"], step, o["decay_steps"], o["decay_rate"], o["staircase"])


def _polynomial(o, step):
    return tf.train.polynomial_decay(o["learning_rate"], step, o["decay_steps"], o["end_learning_rate"], o["power"],
                                     o["cycle"])


def _piecewise(o, step):
    # tf.train.piecewise_constant needs at least one boundary.
    if not o["boundaries"]:
        return tf.constant(o["values"][0], tf.float32)
    boundaries = [tf.cast(boundary, step.dtype) for boundary in o["boundaries"]]
    return tf.train.piecewise_constant(step, boundaries, [float(value) for value in o["values"]])


def _cosine(o, step):
    return tf.train.cosine_decay(o["learning_rate"], step, o["decay_steps"], o["alpha"])


def _cosine_restarts(o, step):
    # Loshchilov and Hutter 2017 (SGDR); the first period is decay_steps.
    return tf.train.cosine_decay_restarts(o["learning_rate"], step, o["decay_steps"], o["t_mul"], o["m_mul"],
                                          o["alpha"])


def _linear_cosine(o, step):
    # Bello et al. 2017. At step 0 the rate is learning_rate * (1 + alpha + beta).
    return tf.train.linear_cosine_decay(o["learning_rate"], step, o["decay_steps"], o["num_periods"], o["alpha"],
                                        o["beta"])


SCHEDULES = {
    "fixed": _fixed,
    "exponential": _exponential,
    "natural_exp": _natural_exp,
    "inverse_time": _inverse_time,
    "polynomial": _polynomial,
    "piecewise": _piecewise,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "linear_cosine": _linear_cosine,
}
