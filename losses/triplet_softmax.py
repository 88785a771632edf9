"""Ranking and classification on the same triplets: omega * triplet + (1 - omega) * half of two cross entropies."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners
from slim_retrieval.losses.pairs import all_pairs
from slim_retrieval.losses.softmax import cross_entropy


def triplet_softmax(embeddings, logits, labels, omega=0.7, margin=0.2, distance="euclidean",
                    triplet_miner=miners.random_negative, categories=None):
    """Return the mean over mined triplets of omega max(0, D(a,p) - D(a,n) + margin) + (1 - omega) (CE(a) + CE(n)) / 2.

    CE is the softmax cross entropy of the anchor's or the negative's logits with its own label.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      logits: float32 [B, C].
      labels: int32 [B] below C; below 0: unknown, in no triplet.
      omega: from 0 (classification) to 1 (ranking).
      distance: euclidean, squared or cosine.
      triplet_miner: by default each positive pair takes one random negative.
      categories: int32 [B]; the negative is then of the anchor's category (pairs.py). A triplet whose anchor has no
        such negative in the batch is left out.
    Returns:
      (loss scalar, {"triplet", "cross_entropy": the two parts, "active_triplets": share with a hinge above 0,
      "triplets": how many were mined}). No triplet: all 0.
    """
    triplets = triplet_miner(all_pairs(embeddings, labels, distance, categories=categories))
    entropy = cross_entropy(logits, tf.maximum(labels, 0))  # [B]
    shape = tf.concat([tf.shape(labels), tf.ones([tf.rank(triplets.valid) - 1], tf.int32)], 0)
    classified = (tf.reshape(entropy, shape) + tf.gather(entropy, triplets.candidate)) / 2
    ranked = tf.nn.relu(triplets.positive - triplets.negative + margin)
    zeros = tf.zeros_like(tf.cast(triplets.valid, embeddings.dtype))
    ranking = masks.masked_mean(ranked + zeros, triplets.valid)
    classification = masks.masked_mean(classified + zeros, triplets.valid)
    return omega * ranking + (1 - omega) * classification, {
        "triplet": ranking, "cross_entropy": classification,
        "active_triplets": masks.masked_mean(tf.cast(ranked + zeros > 0, embeddings.dtype), triplets.valid),
        "triplets": tf.reduce_sum(tf.cast(triplets.valid, embeddings.dtype))}
