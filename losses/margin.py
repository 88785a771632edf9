"""Margin loss with distance-weighted sampling (Wu, Manmatha, Smola and Krahenbuhl, ICCV 2017, section 4)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners
from slim_retrieval.losses.pairs import all_pairs


def margin(embeddings, labels, num_classes, alpha=0.2, beta=1.2, learn_beta=True, nu=0.0, distance="euclidean",
           triplet_miner=miners.distance_weighted, memory=None, categories=None):
    """Return the mean over what is active of max(0, alpha + D(a, p) - beta) and max(0, alpha - D(a, n) + beta).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B] in [0, num_classes).
      alpha: half the width of the margin; beta: the boundary between positive and negative distances.
      learn_beta: a trainable boundary for each anchor's class, beginning at beta (the paper's beta^(class)).
      nu: weight of the mean boundary in the loss (the paper's regulariser; equation 5).
      distance: euclidean (the paper's), squared or cosine.
      triplet_miner, memory, categories: see miners.py and pairs.py.
    Returns:
      (loss scalar, {"active_positives", "active_negatives": share of the mined ones with a loss above 0,
      "beta": mean boundary of the batch}).
    """
    triplets = triplet_miner(all_pairs(embeddings, labels, distance, memory, categories))
    boundary = tf.fill(tf.shape(labels), tf.constant(beta, embeddings.dtype))  # [B]
    if learn_beta:
        per_class = tf.get_variable("beta", [num_classes], embeddings.dtype, tf.constant_initializer(beta))
        boundary = tf.gather(per_class, tf.maximum(labels, 0))  # an unknown label is in no triplet
    shape = tf.concat([tf.shape(labels), tf.ones([tf.rank(triplets.valid) - 1], tf.int32)], 0)
    limits = tf.reshape(boundary, shape)
    spread = tf.zeros_like(tf.cast(triplets.valid, embeddings.dtype))
    positive = tf.nn.relu(alpha + triplets.positive - limits) + spread
    negative = tf.nn.relu(alpha - triplets.negative + limits) + spread
    both, valid = tf.stack([positive, negative]), tf.stack([triplets.valid, triplets.valid])
    loss = masks.masked_mean(both, tf.logical_and(valid, both > 0))
    valid_anchors = tf.reduce_any(tf.reshape(triplets.valid, [tf.shape(labels)[0], -1]), axis=1)
    mean_boundary = masks.masked_mean(boundary, valid_anchors)
    return loss + nu * mean_boundary if nu else loss, {
        "active_positives": masks.masked_mean(tf.cast(positive > 0, embeddings.dtype), triplets.valid),
        "active_negatives": masks.masked_mean(tf.cast(negative > 0, embeddings.dtype), triplets.valid),
        "beta": mean_boundary}
