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
    return root(squared_euclidean(embeddings))


def cosine(embeddings):
    """Return 1 - x_i.x_j of all pairs: float [B, B], 0 on the diagonal; rows must be L2-normalised."""
    products = tf.matmul(embeddings, embeddings, transpose_b=True)  # [B, B]
    # Round-off takes products a little over 1.
    return tf.linalg.set_diag(tf.nn.relu(1 - products), tf.zeros_like(products[:, 0]))


def between(rows, others, distance):
    """Return the distances of the named kind between two sets of rows: [B, d], [M, d] -> [B, M].

    Unlike `pairwise` it leaves a little round-off (1e-3 in Euclidean distance) between duplicates.
    """
    products = tf.matmul(rows, others, transpose_b=True)  # [B, M]
    if lookup(DISTANCES, distance, "distance") is cosine:
        return tf.nn.relu(1 - products)
    squared = tf.nn.relu(tf.reduce_sum(tf.square(rows), 1)[:, None] - 2 * products
                         + tf.reduce_sum(tf.square(others), 1)[None, :])
    return squared if distance == "squared" else root(squared)


def root(values):
    """Return the square root, 0 with gradient 0 where a value is 0."""
    above = values > 0
    # The derivative of sqrt at 0 is infinite and infinity times the mask's 0 is NaN: where the value is 0 the
    # epsilon goes inside the root. The outer `where` then puts the 0 back and lets no gradient through.
    roots = tf.sqrt(tf.where(above, values, tf.fill(tf.shape(values), tf.constant(EPSILON, values.dtype))))
    return tf.where(above, roots, tf.zeros_like(roots))


DISTANCES = {"euclidean": euclidean, "squared": squared_euclidean, "cosine": cosine}


def pairwise(embeddings, distance):
    """Return the [B, B] distances of the named kind: euclidean, squared or cosine.

    Raises:
      InputError: unknown kind.
    """
    return lookup(DISTANCES, distance, "distance")(embeddings)
