"""Triplet loss over all triplets of a batch (Hermans, Beyer and Leibe 2017, "batch all", equation 6)."""
from slim_retrieval.losses.triplet import triplet


def triplet_batch_all(embeddings, labels, margin=0.2, distance="euclidean", memory=None, categories=None):
    """Return the mean of max(0, D(a, p) - D(a, n) + margin) over the active triplets.

    Active are the valid triplets whose loss is above 0 (the paper's "non-zero" variant). As only these are averaged,
    a loss that stays near the margin is no sign of collapse: watch the share of active triplets fall.
    Memory: several tensors of B^3 entries (float32: 8 MB each for a batch of 128, 537 MB for 512).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: in units of the distance.
      distance: euclidean, squared or cosine.
      memory, categories: see pairs.py.
    Returns:
      (loss scalar, {"active_triplets": share of the valid triplets that is active}). No valid triplet: loss 0.
    """
    return triplet(embeddings, labels, margin, distance=distance, memory=memory, categories=categories)
