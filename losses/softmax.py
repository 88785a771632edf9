"""Softmax cross entropy: the classification baseline that retrieval features are usually fine-tuned with."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks


def softmax(logits, labels, label_smoothing=0.0):
    """Return the mean of -sum_c t_c log softmax(logits)_c over the images whose label is known.

    The target t is (1 - label_smoothing) at the label plus label_smoothing / C everywhere
    (Szegedy et al. 2016, section 7).

    Args:
      logits: float32 [B, C].
      labels: int32 [B] below C; below 0: unknown, left out. One of C or more stops the run on a CPU and gives NaN on
        a GPU.
    Returns:
      (loss scalar, {"accuracy": share of these images whose largest logit is the label's}). No label known: all 0.
    """
    labels, logits = masks.known(labels, logits)
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=labels.dtype), labels)  # [B]
    return masks.mean(cross_entropy(logits, labels, label_smoothing)), {
        "accuracy": masks.mean(tf.cast(hits, logits.dtype))}


def cross_entropy(logits, labels, label_smoothing=0.0):
    """Return each row's -sum_c t_c log softmax(logits)_c: [B, C], [B] -> [B]."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)  # [B]
    if label_smoothing:
        # Written with the sparse form: a one-hot row of a label out of range would be all 0, a loss of 0 in silence.
        uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)  # [B]
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    return losses
