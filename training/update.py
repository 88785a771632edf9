"""The train op: gradients of one global batch -> weight decay -> clipping -> barrier -> the optimizer's step."""
import logging
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import schedules
from slim_retrieval.training.optimizers import momentum_option
from slim_retrieval.training.rates import ScopedOptimizer
from slim_retrieval.training.towers import add_weight_decay, decayed_variables

log = logging.getLogger(__name__)

# train: makes one step, and adds one to the global step; start: to run once when training starts, after the variables
# have their first values, and not when it is resumed; watched: {name: scalar}.
Update = namedtuple("Update", "train start watched")


def build_update(gradients, update_ops, training, seed=0):
    """Return the Update.

    Args:
      gradients: [(gradient, variable)], averaged over towers.
      update_ops: what a step changes besides the trainable variables: batch norm's averages, memories of losses.
      training: dict of TrainingConfig.
      seed: of a noisy schedule.
    """
    global_step = tf.train.get_or_create_global_step()
    rate = schedules.learning_rate(training["schedule"], global_step, seed)
    optimizer, watched = _optimizer(training, rate, global_step)
    gradients = add_weight_decay(gradients, training["weight_decay"])
    gradients = clip(gradients, training)
    variables = [v for _, v in gradients]
    # Update ops: without them batch norm's averages would stay where they started. Gradients: an update changes a
    # variable in place, so all backward passes must have read it before the first one is applied (tf.gradients
    # alone does not gate; without this barrier the same seed gives other weights each time).
    with tf.control_dependencies(update_ops + [g for g, _ in gradients]):
        train_op = optimizer.apply_gradients(gradients, global_step=global_step)
    _say(variables, update_ops, training["weight_decay"])
    return Update(train_op, tf.group(*optimizer.start_ops(variables)), watched)


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


def _say(variables, update_ops, weight_decay):
    log.info("%d trainable variables; weight decay %g on %d of them (weights of convolutions and dense layers), "
             "added once; %d batch-norm updates a step", len(variables), weight_decay,
             len(decayed_variables(variables)), len(update_ops))
