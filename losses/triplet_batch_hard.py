"""Triplet loss with the hardest positive and negative of each anchor (Hermans, Beyer and Leibe 2017, equation 5)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners
from slim_retrieval.losses.pairs import all_pairs


def triplet_batch_hard(embeddings, labels, margin=0.2, soft=False, distance="euclidean", memory=None, categories=None):
    """Return the mean over anchors of max(0, margin + max_p D(a, p) - min_n D(a, n)).

    Anchors that lack a positive or a negative in the batch are left out of the mean; were they kept, an anchor
    without negatives would count at least the whole margin.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: in units of the distance; unused when `soft`.
      soft: softplus(max_p D - min_n D) in place of the hinge (the paper's soft margin).
      distance: euclidean, squared or cosine.
      memory, categories: see pairs.py.
    Returns:
      (loss scalar, {"hardest_positive", "hardest_negative": their mean distances over the anchors that count,
      "active_anchors": share of these whose hinge is above 0, or whose order is wrong when `soft`}).
      No anchor that counts: all 0.
    """
    hardest = miners.batch_hard(all_pairs(embeddings, labels, distance, memory, categories))
    difference = hardest.positive - hardest.negative  # [B]
    losses = tf.nn.softplus(difference) if soft else tf.nn.relu(margin + difference)  # [B]
    active = tf.cast(difference > (0.0 if soft else -margin), embeddings.dtype)  # [B]
    return masks.masked_mean(losses, hardest.valid), {
        "hardest_positive": masks.masked_mean(hardest.positive, hardest.valid),
        "hardest_negative": masks.masked_mean(hardest.negative, hardest.valid),
        "active_anchors": masks.masked_mean(active, hardest.valid)}
