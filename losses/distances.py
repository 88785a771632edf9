"""Distances between all pairs of a batch, with gradients that stay finite where two embeddings coincide."""
from slim_retrieval.common.errors import lookup
from slim_retrieval.common.tensorflow import tf

EPSILON = 1e-16


def squared_euclidean(embeddings):
    """Return ||x_i - x_j||^2 of all pairs.

    Args:
      embeddings: float32 (or float64) [B, d].
    Returns:
      [B, B] of the same type, never negative, exactly 0 on the diagonal.
    """
    products = tf.matmul(embeddings, embeddings, transpose_b=True)  # [B, B]
    # The norms come from the same product, so that round-off cancels between duplicates: their distance is 0.
    norms = tf.linalg.diag_part(products)  # [B]
    squared = norms[:, None] - 2 * products + norms[None, :]  # [B, B]
    return tf.linalg.set_diag(tf.nn.relu(squared), tf.zeros_like(norms))


def euclidean(embeddings):
    """Return ||x_i - x_j|| of all pairs: float [B, B], 0 with gradient 0 where two embeddings coincide."""
    squared = squared_euclidean(embeddings)  # [B, B]
    apart = squared > 0
    # The derivative of sqrt at 0 is infinite and infinity times the mask's 0 is NaN: where the distance is 0 the
    # epsilon goes inside the root. The outer `where` then puts the 0 back and lets no gradient through.
    root = tf.sqrt(tf.where(apart, squared, tf.fill(tf.shape(squared), tf.constant(EPSILON, squared.dtype))))
    return tf.where(apart, root, tf.zeros_like(root))


def cosine(embeddings):
    """Return 1 - x_i.x_j of all pairs: float [B, B], 0 on the diagonal; rows must be L2-normalised."""
    products = tf.matmul(embeddings, embeddings, transpose_b=True)  # [B, B]
    # Round-off takes products a little over 1.
    return tf.linalg.set_diag(tf.nn.relu(1 - products), tf.zeros_like(products[:, 0]))


DISTANCES = {"euclidean": euclidean, "squared": squared_euclidean, "cosine": cosine}


def pairwise(embeddings, distance):
    """Return the [B, B] distances of the named kind: euclidean, squared or cosine.

    Raises:
      InputError: unknown kind.
    """
    return lookup(DISTANCES, distance, "distance")(embeddings)
