"""Which variables training leaves alone: those behind model.freeze_up_to, and those whose learning rate is times 0."""
import logging

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.end_points import find_tensor
from slim_retrieval.nets.freezing import variables_behind
from slim_retrieval.nets.model import build_model
from slim_retrieval.training.rates import factor_of

log = logging.getLogger(__name__)


def frozen_variables(options, rate_multipliers=None):
    """Return the names of the network's variables that are not trained, moving averages included.

    They are those that the end point model.freeze_up_to depends on, and those with a rate multiplier of 0.

    They are found in an inference graph of its own: what is frozen has to be known before the training graph is built.

    Args:
      options: dict of ModelConfig, with an image_size.
      rate_multipliers: {scope: factor}.

    Raises:
      InputError: there is no such end point.
    """
    multipliers = rate_multipliers or {}
    if not options.get("freeze_up_to") and 0 not in multipliers.values():
        return frozenset()
    size = options["image_size"]
    with tf.Graph().as_default():
        end_points = build_model(tf.placeholder(tf.float32, [None, size, size, 3], "images"), options).end_points
        frozen = frozenset(v.op.name for v in tf.global_variables() if factor_of(v.op.name, multipliers) == 0)
        if options.get("freeze_up_to"):
            frozen |= variables_behind(find_tensor(end_points, options["freeze_up_to"]))
        return frozen


def say(frozen, trained):
    """Log how much is frozen (`frozen`: names of variables) and how much is trained (`trained`: variables)."""
    still = [v for v in tf.global_variables() if v.op.name in frozen]
    log.info("frozen: %d variables (%s parameters), batch norm's averages included; trained: %d (%s)", len(still),
             _parameters(still), len(trained), _parameters(trained))


def _parameters(variables):
    return "{:,}".format(sum(v.shape.num_elements() for v in variables))
