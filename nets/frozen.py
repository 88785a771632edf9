"""A network without variables: one GraphDef that holds the weights, batch norm folded, nothing of training.

    frozen = freeze(session, images, outputs)     # once
    features, = connect(frozen, images)           # as often as wanted: in towers, behind another input, ...
"""
import logging
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.folding import fold_batch_norms

log = logging.getLogger(__name__)

# images, outputs: names of tensors (`images:0`); folded, left: numbers of batch norms.
Frozen = namedtuple("Frozen", "graph_def images outputs folded left")


def freeze(session, images, outputs):
    """Return what computes `outputs` from `images` as Frozen; the session and its graph stay as they are.

    Args:
      session: its variables have values.
      images: placeholder.
      outputs: list of tensors of the same graph.
    """
    names = [tensor.op.name for tensor in outputs]
    constant = tf.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), names)
    bare = tf.graph_util.remove_training_nodes(constant, protected_nodes=names + [images.op.name])
    graph_def, folded, left = fold_batch_norms(bare, names)
    log.info("frozen: %d batch norms folded into the layers before them%s", folded,
             ", {} that follow no convolution left".format(left) if left else "")
    return Frozen(graph_def, images.name, [tensor.name for tensor in outputs], folded, left)


def connect(frozen, images, name=""):
    """Add the network to the current graph, on `images`; return its output tensors.

    Args:
      images: float32 [B, S, S, 3], as it was frozen with.
      name: prefix of its nodes.
    """
    return tf.import_graph_def(frozen.graph_def, {frozen.images: images}, frozen.outputs, name=name)
