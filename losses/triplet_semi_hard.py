"""Triplet loss with semi-hard negatives (Schroff, Kalenichenko and Philbin, FaceNet, CVPR 2015, section 3.2)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks


def triplet_semi_hard(embeddings, labels, margin=0.2, distance="squared"):
    """Return the mean over positive pairs of max(0, D(a, p) - D(a, n) + margin) with one semi-hard negative each.

    The negative is the closest one that is farther than the positive (beyond the margin its loss is 0); where none
    is farther, the farthest negative of the anchor. This is the rule of TensorFlow 1's
    tf.contrib.losses.metric_learning, but for pairs whose anchor has no negative: they are left out of the mean.
    On a collapsed batch the loss is exactly the margin and the gradient 0: it never recovers (see watch.py).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: in units of the distance.
      distance: euclidean, squared (FaceNet's) or cosine.
    Returns:
      (loss scalar, {"active_pairs": share of the pairs whose loss is above 0, "semi_hard_pairs": share of the pairs
      with a negative farther than the positive but within the margin}). No pair: all 0.
    """
    pair_distances = distances.pairwise(embeddings, distance)  # [B, B]
    negatives = masks.negative_pairs(labels)  # [B, B]
    pairs = tf.logical_and(masks.positive_pairs(labels), tf.reduce_any(negatives, axis=1)[:, None])  # [B, B]
    farther, found = _closest_farther_negative(pair_distances, negatives)  # [B, B] each
    farthest = masks.masked_row_max(pair_distances, negatives)[:, None]  # [B, 1]
    negative = tf.where(found, farther, tf.zeros_like(farther) + farthest)  # [B, B]
    losses = tf.nn.relu(pair_distances - negative + margin)  # [B, B]
    active = losses > 0
    return masks.masked_mean(losses, pairs), {
        "active_pairs": masks.masked_mean(tf.cast(active, embeddings.dtype), pairs),
        "semi_hard_pairs": masks.masked_mean(tf.cast(tf.logical_and(active, found), embeddings.dtype), pairs)}


def _closest_farther_negative(pair_distances, negatives):
    """Return, for each pair (a, p), min over n of D(a, n) > D(a, p), and whether there is such an n: [B, B] each.

    By sorting each anchor's negatives and looking up D(a, p) in them: B^2 memory where the direct form takes B^3.
    """
    last = tf.shape(pair_distances)[0]
    beyond = tf.fill(tf.shape(pair_distances), tf.constant(pair_distances.dtype.max, pair_distances.dtype))
    ascending = -tf.nn.top_k(-tf.where(negatives, pair_distances, beyond), k=last).values  # [B, B]
    rank = tf.searchsorted(tf.stop_gradient(ascending), tf.stop_gradient(pair_distances), side="right")  # [B, B]
    found = rank < tf.math.count_nonzero(negatives, axis=1, dtype=tf.int32)[:, None]  # [B, B]
    # Looked up at 0 where there is none, so that no huge number takes part.
    return tf.gather(ascending, tf.where(found, rank, tf.zeros_like(rank)), batch_dims=1), found
