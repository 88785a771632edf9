"""Lifted structured embedding (Oh Song, Xiang, Jegelka and Savarese, CVPR 2016, equation 4)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs


def lifted_structure(embeddings, labels, margin=1.0, distance="euclidean", reducer=reducers.mean, memory=None,
                     categories=None):
    """Return the mean over positive pairs of max(0, J)^2 / 2, J = log(sum e^{m-D(a,n)} + sum e^{m-D(p,n)}) + D(a,p).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: m, in units of the distance.
      distance: euclidean (the paper's), squared or cosine.
      reducer, memory, categories: see reducers.py and pairs.py. A positive from the memory brings no negatives.
    Returns:
      (loss scalar, {"active_pairs": share of the pairs with J > 0}). Pairs whose anchor has no negative are left out.
    """
    pairs = all_pairs(embeddings, labels, distance, memory, categories)
    has = masks.any_of_row(pairs.negatives)  # [B]
    own = masks.masked_row_logsumexp(margin - pairs.distances, pairs.negatives)  # [B]
    own = tf.where(has, own, tf.fill(tf.shape(own), tf.constant(masks.NEVER, own.dtype)))
    beyond = tf.fill([tf.shape(pairs.distances)[1] - tf.shape(own)[0]], tf.constant(masks.NEVER, own.dtype))
    other = tf.concat([own, beyond], 0)  # [N]
    largest = tf.maximum(own[:, None], other[None, :])  # log(e^x + e^y) = max + softplus(min - max)
    both = largest + tf.nn.softplus(tf.minimum(own[:, None], other[None, :]) - largest)  # [B, N]
    valid = tf.logical_and(pairs.positives, has[:, None])
    lifted = tf.nn.relu(tf.where(valid, both + pairs.distances, tf.zeros_like(both)))  # [B, N]
    return reducer(tf.square(lifted) / 2, valid), {
        "active_pairs": masks.masked_mean(tf.cast(lifted > 0, embeddings.dtype), valid)}
