"""The pairs that a metric loss looks at: each image of the batch against the batch and, if there is one, a memory."""
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks

# distances: float [B, N]; positives, negatives: bool [B, N], never both; kind: name of the distance; width: d.
# The first B of the N candidates are the batch itself; a pair of an image with itself is neither positive nor negative.
Pairs = namedtuple("Pairs", "distances positives negatives kind width")


def all_pairs(embeddings, labels, distance, memory=None, categories=None):
    """Return the Pairs of a batch.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B]; below 0: unknown, the image takes part in no pair.
      distance: euclidean, squared or cosine.
      memory: (float32 [M, d], int32 [M]) further candidates, which are never anchors; label -1: an empty place.
      categories: int32 [B]; negatives are then taken from the anchor's category alone. Not together with a memory.
    """
    found = distances.pairwise(embeddings, distance)  # [B, B]
    candidates = labels
    if memory is not None:
        rows, row_labels = memory
        found = tf.concat([found, distances.between(embeddings, rows, distance)], axis=1)  # [B, B + M]
        candidates = tf.concat([labels, row_labels], axis=0)
    negatives = masks.negative_pairs(labels, candidates)
    if categories is not None:
        same = tf.logical_and(tf.equal(categories[:, None], categories[None, :]), categories[:, None] >= 0)
        negatives = tf.logical_and(negatives, same)
    width = tf.cast(tf.shape(embeddings)[1], embeddings.dtype)
    return Pairs(found, masks.positive_pairs(labels, candidates), negatives, distance, width)


def anchors(pairs):
    """Return bool [B]: the images with at least one positive and one negative; all others are left out of means."""
    return tf.logical_and(masks.any_of_row(pairs.positives), masks.any_of_row(pairs.negatives))
