"""Triplet loss over all triplets of a batch (Hermans, Beyer and Leibe 2017, "batch all", equation 6)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks


def triplet_batch_all(embeddings, labels, margin=0.2, distance="euclidean"):
    """Return the mean of max(0, D(a, p) - D(a, n) + margin) over the active triplets.

    Active are the valid triplets whose loss is above 0 (the paper's "non-zero" variant). As only these are averaged,
    a loss that stays near the margin is no sign of collapse: watch the share of active triplets fall.
    Memory: several tensors of B^3 entries (float32: 8 MB each for a batch of 128, 537 MB for 512).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: in units of the distance.
      distance: euclidean, squared or cosine.
    Returns:
      (loss scalar, {"active_triplets": share of the valid triplets that is active}). No valid triplet: loss 0.
    """
    pair_distances = distances.pairwise(embeddings, distance)  # [B, B]
    anchor_positive = pair_distances[:, :, None]  # [B, B, 1]
    anchor_negative = pair_distances[:, None, :]  # [B, 1, B]
    losses = tf.nn.relu(anchor_positive - anchor_negative + margin)  # [B, B, B]
    valid = masks.valid_triplets(labels)  # [B, B, B]
    active = tf.logical_and(valid, losses > 0)
    return masks.masked_mean(losses, active), {
        "active_triplets": masks.masked_mean(tf.cast(active, embeddings.dtype), valid)}
