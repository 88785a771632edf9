"""Contrastive loss over all pairs of a batch (Hadsell, Chopra and LeCun, CVPR 2006)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks


def contrastive(embeddings, labels, margin=1.0):
    """Return the mean over all pairs of different images of `contrastive_of_pairs`, from Euclidean distances.

    Args:
      embeddings: float32 [B, d], rows L2-normalised, so that distances lie in [0, 2].
      labels: int32 [B].
      margin: Euclidean distance beyond which a negative pair costs nothing.
    Returns:
      (loss scalar, {"positive_distance", "negative_distance": mean distances of those pairs,
      "active_negatives": share of the negative pairs that lie within the margin}). A batch of 1 gives loss 0.
    """
    pair_distances = distances.euclidean(embeddings)  # [B, B]
    positives = masks.positive_pairs(labels)  # [B, B]
    negatives = masks.negative_pairs(labels)  # [B, B]
    losses = contrastive_of_pairs(pair_distances, masks.same_class(labels), margin)  # [B, B]
    active = tf.cast(pair_distances < margin, embeddings.dtype)
    return masks.masked_mean(losses, masks.distinct_pairs(labels)), {
        "positive_distance": masks.masked_mean(pair_distances, positives),
        "negative_distance": masks.masked_mean(pair_distances, negatives),
        "active_negatives": masks.masked_mean(active, negatives)}


def contrastive_of_pairs(pair_distances, same_class, margin):
    """Return 1/2 D^2 where `same_class` holds and 1/2 max(0, margin - D)^2 elsewhere.

    Hadsell et al., equation 4, with the label turned round: their Y is 0 for a similar pair, `same_class` is True (1).

    Args:
      pair_distances: D, Euclidean, any shape.
      same_class: bool of the same shape, True for two images of one class.
    Returns:
      float of the same shape.
    """
    attraction = tf.square(pair_distances) / 2
    repulsion = tf.square(tf.nn.relu(margin - pair_distances)) / 2
    return tf.where(same_class, attraction, repulsion)
