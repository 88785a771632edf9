"""Which variables training leaves alone: those behind model.freeze_up_to."""
import logging

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.end_points import find_tensor
from slim_retrieval.nets.freezing import variables_behind
from slim_retrieval.nets.model import build_model

log = logging.getLogger(__name__)


def frozen_variables(options):
    """Return the names of all variables that the end point model.freeze_up_to depends on, moving averages included.

    They are found in an inference graph of its own: what is frozen has to be known before the training graph is built.

    Args:
      options: dict of ModelConfig, with an image_size.

    Raises:
      InputError: there is no such end point.
    """
    if not options.get("freeze_up_to"):
        return frozenset()
    size = options["image_size"]
    with tf.Graph().as_default():
        end_points = build_model(tf.placeholder(tf.float32, [None, size, size, 3], "images"), options).end_points
        return variables_behind(find_tensor(end_points, options["freeze_up_to"]))


def say(frozen, trained, end_point):
    """Log how much is frozen and how much is trained.

    Args:
      frozen: names of variables; trained: variables; end_point: model.freeze_up_to.
    """
    still = [v for v in tf.global_variables() if v.op.name in frozen]
    log.info("frozen up to %s: %d variables (%s parameters), batch norm's averages included; trained: %d (%s)",
             end_point, len(still), _parameters(still), len(trained), _parameters(trained))


def _parameters(variables):
    return "{:,}".format(sum(v.shape.num_elements() for v in variables))
