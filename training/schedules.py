"""Learning rate schedules by name. A schedule counts steps of the global batch, whatever the number of towers.

Each is the function of tf.train that bears its name, but for one_cycle; defaults and meanings are those of
schema.ScheduleConfig. All are pure functions of (seed, step), so a resumed run goes on with the same rates.
"""
import math

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training.schedule_options import check_schedule


def learning_rate(options, global_step, seed=0):
    """Return the learning rate at `global_step`: a float32 scalar tensor.

    Args:
      options: plain dict of schema.ScheduleConfig; what is left out takes its default there. Lengths in epochs are
        resolved beforehand (plan.in_steps).
      global_step: integer scalar tensor or variable that counts applied updates, one per global batch: with N towers
        it is still incremented once per update, so that decay_steps means the same for any N.
      seed: of the noise.
    Raises:
      InputError: as `check_schedule`.
    """
    complete = dict(check_schedule(options), seed=seed)
    with tf.name_scope("learning_rate"):
        step = tf.convert_to_tensor(global_step)
        rate = SCHEDULES[complete["name"]](complete, tf.maximum(step - complete["warmup_steps"], 0))
        return _warm_up(complete, step, rate)


def momentum(options, global_step, highest):
    """Return one_cycle's momentum at `global_step`, a float32 scalar tensor, or None when the momentum stays.

    It is `highest` where the cycle begins and ends, and `cycle_momentum` at the highest rate.
    """
    complete = check_schedule(options)
    if not complete["cycle_momentum"]:
        return None
    with tf.name_scope("momentum"):
        step = tf.maximum(tf.convert_to_tensor(global_step) - complete["warmup_steps"], 0)
        return _rise_and_fall(complete, step, highest, complete["cycle_momentum"], highest)


def _warm_up(o, step, rate):
    """Return `rate` after the warm-up; before, what leads to it. `rate` is then where the schedule begins."""
    length = o["warmup_steps"]
    if not length:
        return rate
    start = tf.constant(o["warmup_start"], tf.float32)
    share = tf.cast(step, tf.float32) / float(length)
    rising = start + (rate - start) * share if o["warmup"] == "linear" else start
    return tf.where(step < length, rising, rate)


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


def _noisy_linear_cosine(o, step):
    # Bello et al. 2017, as tf.train has it, but for two things. There the noise is drawn anew whenever the rate is read
    # and after a restart; here it depends on (seed, step) alone. There the rate falls below 0, where training would
    # climb; here it stops at 0. At step 0 the noise has a standard deviation of the rate itself.
    length = float(o["decay_steps"])
    t = tf.minimum(tf.cast(step, tf.float32), length)
    # -1 - step: apart from what the augmentation of that step draws.
    noise = tf.random.stateless_normal([], seed=tf.stack([tf.constant(o["seed"], tf.int64),
                                                          -1 - tf.cast(step, tf.int64)]))
    deviation = tf.sqrt(o["initial_variance"] / tf.pow(1.0 + t, o["variance_decay"]))
    cosine = 0.5 * (1.0 + tf.cos(2.0 * math.pi * o["num_periods"] * t / length))
    shape = (o["alpha"] + (length - t) / length + deviation * noise) * cosine + o["beta"]
    return tf.maximum(o["learning_rate"] * shape, 0.0)


def _one_cycle(o, step):
    # Smith and Topin 2018, with halves of cosines for the straight lines, as is usual by now.
    highest = o["learning_rate"]
    return _rise_and_fall(o, step, highest * o["start_factor"], highest, o["end_learning_rate"])


def _rise_and_fall(o, step, start, top, end):
    """Return start -> top within `rise` of decay_steps, then top -> end, each along half a cosine."""
    share = tf.minimum(tf.cast(step, tf.float32) / float(o["decay_steps"]), 1.0)
    up = start + (top - start) * 0.5 * (1.0 - tf.cos(math.pi * share / o["rise"]))
    down = end + (top - end) * 0.5 * (1.0 + tf.cos(math.pi * (share - o["rise"]) / (1.0 - o["rise"])))
    return tf.where(share < o["rise"], up, down)


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
    "noisy_linear_cosine": _noisy_linear_cosine,
    "one_cycle": _one_cycle,
}
