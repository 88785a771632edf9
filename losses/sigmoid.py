"""Sigmoid cross entropy: several tags an image, each present or absent on its own."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks


def sigmoid(logits, labels, tags, label_smoothing=0.0):
    """Return the mean over images whose cell is filled, and over all tags, of the binary cross entropy.

    Args:
      logits: float32 [B, T].
      labels: int32 [B], which of the column's distinct cells the image has; below 0: an empty cell, left out.
      tags: [V, T], 1 where a distinct cell names a tag (label_columns.py).
      label_smoothing: targets become (1 - s) t + s / 2.
    Returns:
      (loss scalar, {"precision", "recall": of the tags with a logit above 0}). No cell filled: all 0.
    """
    labels, logits = masks.known(labels, logits)
    targets = tf.gather(tf.constant(tags, logits.dtype), labels)  # [B, T]
    smooth = (1 - label_smoothing) * targets + label_smoothing / 2
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=smooth, logits=logits)  # [B, T]
    said = tf.cast(logits > 0, logits.dtype)
    right = tf.reduce_sum(said * targets)
    return masks.mean(losses), {"precision": right / tf.maximum(tf.reduce_sum(said), 1),
                                "recall": right / tf.maximum(tf.reduce_sum(targets), 1)}
