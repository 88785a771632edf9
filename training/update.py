"""The train op: gradients of one global batch -> weight decay -> clipping -> barrier -> the optimizer's step."""
import logging

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import schedules
from slim_retrieval.training.optimizers import build_optimizer
from slim_retrieval.training.towers import add_weight_decay, decayed_variables

log = logging.getLogger(__name__)


def build_update(gradients, update_ops, training):
    """Return (train_op, {name: scalar to watch}); the train op adds one to the global step.

    Args:
      gradients: [(gradient, variable)], averaged over towers.
      update_ops: what a step changes besides the trainable variables: batch norm's averages, memories of losses.
      training: dict of TrainingConfig.
    """
    global_step = tf.train.get_or_create_global_step()
    rate = schedules.learning_rate(training["schedule"], global_step)
    optimizer = build_optimizer(training["optimizer"], rate, training["momentum"])
    gradients = add_weight_decay(gradients, training["weight_decay"])
    gradients = clip(gradients, training["clip_norm"])
    # Update ops: without them batch norm's averages would stay where they started. Gradients: an update changes a
    # variable in place, so all backward passes must have read it before the first one is applied (tf.gradients
    # alone does not gate; without this barrier the same seed gives other weights each time).
    with tf.control_dependencies(update_ops + [g for g, _ in gradients]):
        train_op = optimizer.apply_gradients(gradients, global_step=global_step)
    _say(gradients, update_ops, training["weight_decay"])
    return train_op, {"learning_rate": rate}


def clip(gradients, clip_norm):
    """Return the gradients scaled down so that their global norm is at most `clip_norm`; 0: as they are."""
    if not clip_norm:
        return gradients
    clipped, _ = tf.clip_by_global_norm([g for g, _ in gradients], clip_norm)
    return list(zip(clipped, [v for _, v in gradients]))


def _say(gradients, update_ops, weight_decay):
    variables = [v for _, v in gradients]
    log.info("%d trainable variables; weight decay %g on %d of them (weights of convolutions and dense layers), "
             "added once; %d batch-norm updates a step", len(variables), weight_decay,
             len(decayed_variables(variables)), len(update_ops))
