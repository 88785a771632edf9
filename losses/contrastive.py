"""Contrastive loss over all pairs of a batch (Hadsell, Chopra and LeCun, CVPR 2006)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners, reducers
from slim_retrieval.losses.pairs import all_pairs


def contrastive(embeddings, labels, margin=1.0, distance="euclidean", pair_miner=miners.every_pair,
                reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over all pairs of different images of `contrastive_of_pairs`.

    Args:
      embeddings: float32 [B, d], rows L2-normalised, so that Euclidean distances lie in [0, 2].
      labels: int32 [B].
      margin: distance beyond which a negative pair costs nothing.
      distance: euclidean (the paper's), squared or cosine.
      pair_miner, reducer, memory, categories: see miners.py, reducers.py and pairs.py.
    Returns:
      (loss scalar, {"positive_distance", "negative_distance": mean distances of those pairs,
      "active_negatives": share of the negative pairs that lie within the margin}). A batch of 1 gives loss 0.
    """
    pairs = all_pairs(embeddings, labels, distance, memory, categories)
    positives, negatives = pair_miner(pairs)  # [B, N]
    losses = contrastive_of_pairs(pairs.distances, positives, margin)  # [B, N]
    active = tf.cast(pairs.distances < margin, embeddings.dtype)
    return reducer(losses, tf.logical_or(positives, negatives)), {
        "positive_distance": masks.masked_mean(pairs.distances, pairs.positives),
        "negative_distance": masks.masked_mean(pairs.distances, pairs.negatives),
        "active_negatives": masks.masked_mean(active, pairs.negatives)}


def contrastive_of_pairs(pair_distances, same_class, margin):
    """Return 1/2 D^2 where `same_class` holds and 1/2 max(0, margin - D)^2 elsewhere.

    Hadsell et al., equation 4, with the label turned round: their Y is 0 for a similar pair, `same_class` is True (1).

    Args:
      pair_distances: D, any shape.
      same_class: bool of the same shape, True for two images of one class.
    Returns:
      float of the same shape.
    """
    attraction = tf.square(pair_distances) / 2
    repulsion = tf.square(tf.nn.relu(margin - pair_distances)) / 2
    return tf.where(same_class, attraction, repulsion)
