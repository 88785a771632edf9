"""Smooth-AP: average precision with sigmoids for ranks (Brown, Xie, Kalogeiton, Zisserman, ECCV 2020, equation 6)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs, anchors


def smooth_ap(embeddings, labels, temperature=0.01, reducer=reducers.mean, categories=None):
    """Return the mean over anchors of 1 - AP, AP = mean over positives i of (1 + sum_{j in P} g_ij) / (1 + sum_j g_ij).

    g_ij = sigmoid((s(a, j) - s(a, i)) / temperature) is 1 where j ranks before i; j runs over the other candidates,
    above over the positives alone. Memory: several tensors of B^3 entries; it takes no memory for that reason.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      reducer, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Anchors without a positive or a negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "cosine", categories=categories)
    similarities = 1 - pairs.distances  # [B, N]
    before = tf.sigmoid((similarities[:, None, :] - similarities[:, :, None]) / temperature)  # [B, i, j]
    others = masks.distinct_pairs(labels)[None, :, :]  # j != i
    zeros = tf.zeros_like(before)
    among_positives = tf.logical_and(others, pairs.positives[:, None, :])
    among_negatives = tf.logical_and(others, pairs.negatives[:, None, :])
    rank = 1 + tf.reduce_sum(tf.where(among_positives, before, zeros), 2)  # [B, i]
    wrong = tf.reduce_sum(tf.where(among_negatives, before, zeros), 2)  # [B, i]
    precision = masks.masked_row_sum(rank / (rank + wrong), pairs.positives)
    losses = 1 - precision / tf.maximum(masks.count(pairs.positives, embeddings.dtype), 1)
    return reducer(losses, anchors(pairs)), {}
