"""The plan of a training, settled before its graph is built: epochs as steps, options that fit, a rate that lives."""
import dataclasses
import logging

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.datasets.samplers import images_per_step
from slim_retrieval.training import optimizers, schedule_options, schedules

log = logging.getLogger(__name__)

# What may be given in epochs -> the same in steps; below training.
IN_EPOCHS = {"epochs": "steps", "schedule.decay_epochs": "schedule.decay_steps",
             "schedule.warmup_epochs": "schedule.warmup_steps", "schedule.boundary_epochs": "schedule.boundaries"}
# Of the highest rate; below, float32's round-off is all that moves.
DEAD_BELOW = 1e-6


def in_steps(training, images):
    """Return {dotted key below training: steps} of all that is given in epochs.

    Args:
      training: dict of TrainingConfig.
      images: number of training images. An epoch is images / global batch steps, whatever the number of towers; a
        length is rounded to whole steps, at least one.

    Raises:
      InputError: steps are given beside epochs, and differ.
    """
    found, defaults = {}, dataclasses.asdict(TrainingConfig())
    per_epoch = images / images_per_step(training)
    for key, target in IN_EPOCHS.items():
        epochs = _get(training, key)
        if not epochs:
            continue
        steps = [_whole(e * per_epoch) for e in epochs] if isinstance(epochs, list) else _whole(epochs * per_epoch)
        if _get(training, target) not in (_get(defaults, target), steps):
            raise InputError("training.{} = {} is {} steps here, but training.{} is {}; leave one of them out".format(
                key, epochs, steps, target, _get(training, target)))
        found[target] = steps
        log.info("training.%s = %s: training.%s = %s (%d images, %d a step)", key, epochs, target, steps, images,
                 images_per_step(training))
    return found


def check(training):
    """Warn of options without effect; refuse what cannot be built. Lengths are in steps (`in_steps`).

    Raises:
      InputError: an unknown optimizer or schedule, or options that contradict each other.
    """
    optimizers.check_optimizer(training)
    schedule_options.check_schedule(training["schedule"])
    schedule_options.warn_of_unused(training["schedule"])
    if training["schedule"]["cycle_momentum"]:
        optimizers.momentum_option(training["optimizer"])


def warn_of_dead_schedule(training):
    """Log a warning if the learning rate is 0 from some step on before the end; return that step, else None."""
    last = training["steps"]
    dead = dead_from(training["schedule"], last)
    if dead is not None:
        log.warning("the learning rate is 0 from step %d on (schedule %s, decay_steps %d): the last %d of %d steps "
                    "would change nothing; lower training.steps or raise training.schedule.decay_steps", dead,
                    training["schedule"]["name"], training["schedule"]["decay_steps"], last - dead, last)
    return dead


def dead_from(schedule, steps):
    """Return the first of `steps` steps from which on the learning rate is 0, or None: the last one trains.

    Found by halving, for a schedule that once at 0 stays there; noise is left out.
    """
    with tf.Graph().as_default():
        step = tf.placeholder(tf.int64, [])
        rate = schedules.learning_rate(dict(schedule, initial_variance=0.0), step)
        # No GPU: the session that trains is the one to set it up.
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            highest = max([schedule["learning_rate"]] + schedule["values"])

            def is_dead(number):
                return session.run(rate, {step: number}) <= DEAD_BELOW * highest
            low, high = -1, steps - 1
            if not is_dead(high):
                return None
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if is_dead(middle) else (middle, high)
            return high


def _whole(steps):
    return max(1, int(round(steps)))


def _get(options, dotted):
    for part in dotted.split("."):
        options = options[part]
    return options
