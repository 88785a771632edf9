"""Triplet loss with semi-hard negatives (Schroff, Kalenichenko and Philbin, FaceNet, CVPR 2015, section 3.2)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners
from slim_retrieval.losses.pairs import all_pairs


def triplet_semi_hard(embeddings, labels, margin=0.2, distance="squared", memory=None, categories=None):
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
      memory, categories: see pairs.py.
    Returns:
      (loss scalar, {"active_pairs": share of the pairs whose loss is above 0, "semi_hard_pairs": share of the pairs
      with a negative farther than the positive but within the margin}). No pair: all 0.
    """
    pairs = all_pairs(embeddings, labels, distance, memory, categories)
    _, farther = miners.semi_hard_candidates(pairs)  # [B, N]
    triplets = miners.semi_hard(pairs)
    losses = tf.nn.relu(triplets.positive - triplets.negative + margin)  # [B, N]
    active = losses > 0
    return masks.masked_mean(losses, triplets.valid), {
        "active_pairs": masks.masked_mean(tf.cast(active, embeddings.dtype), triplets.valid),
        "semi_hard_pairs": masks.masked_mean(
            tf.cast(tf.logical_and(active, farther), embeddings.dtype), triplets.valid)}
