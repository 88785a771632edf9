"""The train op: gradients of a global batch -> weight decay -> clipping -> barrier -> optimizer -> moving averages."""
import logging
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import schedules
from slim_retrieval.training.accumulation import accumulate
from slim_retrieval.training.optimizers import momentum_option
from slim_retrieval.training.precision import global_norm, guarded
from slim_retrieval.training.rates import ScopedOptimizer
from slim_retrieval.training.towers import add_weight_decay, decayed_variables

log = logging.getLogger(__name__)

# train: makes one step, and adds one to the global step; add: to run on each micro-batch before the last, on which
# `train` runs (None without accumulation); start: to run once when training starts, after the variables have their
# first values, and not when it is resumed; watched: {name: scalar} in the run of `train`.
Update = namedtuple("Update", "train add start watched")


def build_update(gradients, update_ops, training, seed=0, scale=None):
    """Return the Update.

    Args:
      gradients: [(gradient, variable)] of a micro-batch, averaged over towers.
      update_ops: what it changes besides the trainable variables: batch norm's averages, memories of losses.
      training: dict of TrainingConfig.
      seed: of a noisy schedule.
      scale: precision.LossScale: a step whose gradients are not finite is left out, though it counts; None: never.
    """
    global_step, variables = tf.train.get_or_create_global_step(), [v for _, v in gradients]
    rate = schedules.learning_rate(training["schedule"], global_step, seed)
    optimizer, watched = _optimizer(training, rate, global_step)
    accumulation = accumulate(gradients, update_ops, training["accumulate"]) if training["accumulate"] > 1 else None
    gradients = accumulation.mean if accumulation else gradients
    watched["gradient_norm"] = global_norm(gradients, scale)
    if scale:
        watched["loss_scale"] = tf.identity(scale.scale)
    gradients = clip(add_weight_decay(gradients, training["weight_decay"]), training)

    def step():
        return optimizer.apply_gradients(gradients, global_step=global_step)
    # Update ops: without them batch norm's averages would stay where they started. Gradients: an update changes a
    # variable in place, so all backward passes must have read it before the first one is applied (tf.gradients
    # alone does not gate; without this barrier the same seed gives other weights each time).
    with tf.control_dependencies(update_ops + [g for g, _ in gradients]):
        train = guarded(step, gradients, scale, global_step, training) if scale else step()
    with tf.control_dependencies([train]):
        clear = [accumulation.clear()] if accumulation else []
    follow, begin = _moving_averages(variables, training, train, global_step)
    _say(variables, update_ops, training)
    return Update(tf.group(train, *clear + follow), accumulation and accumulation.add,
                  tf.group(*optimizer.start_ops(variables) + begin), watched)


def _moving_averages(variables, training, train, global_step):
    """Return [op that moves the averages of the weights after `train`] and the ops that let them begin at the weights:
    they would begin at the initialiser's values, not at pretrained ones. Two empty lists without ema_decay."""
    if not training["ema_decay"]:
        return [], []
    averages = tf.train.ExponentialMovingAverage(training["ema_decay"],
                                                 global_step if training["ema_debias"] else None)
    with tf.control_dependencies([train]):
        follow = averages.apply(variables)
    return [follow], [averages.average(v).assign(v).op for v in variables]


def clip(gradients, training):
    """Return the gradients cut as the options say, in this order; 0 is never.

    clip_value: each number to [-clip_value, clip_value]; clip_variable_norm: each variable's gradient scaled down to
    that norm; clip_norm: all of them scaled down together to that norm, which keeps the direction.
    """
    found, variables = [g for g, _ in gradients], [v for _, v in gradients]
    if training["clip_value"]:
        found = [tf.clip_by_value(g, -training["clip_value"], training["clip_value"]) for g in found]
    if training["clip_variable_norm"]:
        found = [tf.clip_by_norm(g, training["clip_variable_norm"]) for g in found]
    if training["clip_norm"]:
        found, _ = tf.clip_by_global_norm(found, training["clip_norm"])
    return list(zip(found, variables))


def _optimizer(training, rate, global_step):
    """Return the optimizer and the scalars to watch: the rate, and a momentum that follows a cycle."""
    momentum, watched = None, {"learning_rate": rate}
    if training["schedule"]["cycle_momentum"]:
        highest = training[momentum_option(training["optimizer"])]
        momentum = watched["momentum"] = schedules.momentum(training["schedule"], global_step, highest)
    return ScopedOptimizer(training, rate, momentum), watched


def _say(variables, update_ops, training):
    log.info("%d trainable variables; weight decay %g on %d of them (weights of convolutions and dense layers), "
             "added once; %d batch-norm updates a step%s%s", len(variables), training["weight_decay"],
             len(decayed_variables(variables)), len(update_ops) * training["accumulate"],
             "; a step is {} micro-batches".format(training["accumulate"]) if training["accumulate"] > 1 else "",
             "; averages of the weights, decay {:g}".format(training["ema_decay"]) if training["ema_decay"] else "")
