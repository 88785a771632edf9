"""Circle loss with pair-wise labels (Sun et al., CVPR 2020, equations 6 to 8)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners, reducers
from slim_retrieval.losses.pairs import all_pairs, anchors


def circle(embeddings, labels, margin=0.4, scale=80.0, pair_miner=miners.every_pair, reducer=reducers.mean,
           memory=None, categories=None):
    """Return the mean over anchors of log(1 + sum_n e^{scale a_n (s_n - m)} sum_p e^{-scale a_p (s_p - 1 + m)}).

    The weights a_p = max(0, 1 + m - s_p) and a_n = max(0, s_n + m) take no gradient, as the paper has it.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin, scale: m and gamma (0.4 and 80 for retrieval, 0.25 and 256 for faces).
      pair_miner, reducer, memory, categories: see miners.py, reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Anchors without a positive or a negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "cosine", memory, categories)
    positives, negatives = pair_miner(pairs)
    similarities = 1 - pairs.distances  # [B, N]
    weight_p = tf.nn.relu(1 + margin - tf.stop_gradient(similarities))
    weight_n = tf.nn.relu(tf.stop_gradient(similarities) + margin)
    left = masks.masked_row_logsumexp(-scale * weight_p * (similarities - 1 + margin), positives)  # [B]
    right = masks.masked_row_logsumexp(scale * weight_n * (similarities - margin), negatives)  # [B]
    return reducer(tf.nn.softplus(left + right), anchors(pairs._replace(positives=positives, negatives=negatives))), {}
