"""The whole feature network: preprocessing, backbone, new layers, pooling, embedding layer, logits. One function builds
it for training and for extraction, so that both agree."""
import re
from collections import namedtuple

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.end_points import find_tensor
from slim_retrieval.nets.factory import build_network
from slim_retrieval.nets.freezing import frozen_batch_norm
from slim_retrieval.nets.layers import add_layers, initializer
from slim_retrieval.nets.pooling import POOLING, WITH_POWER

# embedding: float32 [B, d], rows L2-normalised; raw: the same before normalisation;
# logits: {label column: float32 [B, classes]}; end_points: {name: tensor}.
Model = namedtuple("Model", "embedding raw logits end_points")

NORM_EPSILON = 1e-6


def build_model(images, options, num_classes=None, is_training=False, frozen=frozenset(), dtype=tf.float32):
    """Build the network in the current graph and variable scope.

    Args:
      images: float32 [B, S, S, 3], raw RGB 0..255.
      options: dict of ModelConfig.
      num_classes: {label column: number of classes}, a logits layer for each; None: no logits.
      is_training: normalise by the batch and build batch norm's update ops; False: by the stored averages.
      frozen: names of variables that stay as they are: batch norm uses its stored averages where those are among them.
      dtype: of the backbone's layers; what comes after it is float32.

    Returns:
      Model.

    Raises:
      InputError: unknown network, pooling, end point or initializer; a width, layout or size that the network does not
        have; layers that do not fit.
    """
    with frozen_batch_norm(frozen):
        net, end_points = build_network(images, is_training, options, dtype)
        if options["end_point"]:
            net = find_tensor(end_points, options["end_point"])
        net, added = add_layers(tf.cast(net, tf.float32), options, is_training)
    raw = pool(net, options["pooling"], options.get("gem_p", 3.0))
    if options["embedding_size"]:
        start = initializer(options.get("initializer", "xavier"), options.get("initializer_stddev", 0.01))
        raw = slim.fully_connected(raw, options["embedding_size"], activation_fn=None, weights_initializer=start,
                                   scope="embedding")
    embedding = l2_normalize(raw)
    end_points = dict(end_points, embedding=embedding, **added)
    logits = {column: slim.fully_connected(raw, count, activation_fn=None, scope=_logits_scope(column))
              for column, count in sorted((num_classes or {}).items())}
    return Model(embedding, raw, logits, end_points)


def l2_normalize(vectors):
    """Return rows divided by their length. [B, d] -> [B, d].

    The epsilon stands inside the root and is not tiny: at a zero row the gradient is 1e3, where
    tf.nn.l2_normalize's is 1e6 and tf.norm's is NaN. Extraction normalises once more, exactly.
    """
    return vectors * tf.rsqrt(tf.reduce_sum(tf.square(vectors), 1, keepdims=True) + NORM_EPSILON)


def pool(tensor, pooling, gem_p=3.0):
    """Return the tensor as vectors [B, d]: feature maps are pooled, vectors stay.

    Args:
      pooling: a key of POOLING.
      gem_p: the power of `gem`, and where that of `gem_learned` starts.

    Raises:
      InputError: unknown pooling, or the tensor is neither a feature map nor vectors.
    """
    function = lookup(POOLING, pooling, "pooling")
    if tensor.shape.ndims not in (2, 4):
        raise InputError("{} has shape {}; a feature is taken from a map [B, H, W, C] or from vectors [B, d]".format(
            tensor.name, tensor.shape))
    if tensor.shape.ndims == 2:
        return tensor
    return function(tensor, gem_p) if pooling in WITH_POWER else function(tensor)


def _logits_scope(column):
    """Return the scope of a label column's logits: TensorFlow allows only some characters."""
    return "logits/" + re.sub(r"[^A-Za-z0-9_.-]", "_", column)
