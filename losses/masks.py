"""Which pairs and triplets of a batch count, and means and extremes over those alone.

Labels are int32 [B]; masks are bool. In a mask [B, B] rows are anchors.
"""
from slim_retrieval.common.tensorflow import tf


def same_class(labels):
    """Return [B, B], True where the labels are equal (on the diagonal too)."""
    return tf.equal(labels[:, None], labels[None, :])


def distinct_pairs(labels):
    """Return [B, B], True off the diagonal."""
    return tf.logical_not(tf.cast(tf.eye(tf.shape(labels)[0]), tf.bool))


def positive_pairs(labels):
    """Return [B, B], True where anchor and positive have one label and are not the same image."""
    return tf.logical_and(same_class(labels), distinct_pairs(labels))


def negative_pairs(labels):
    """Return [B, B], True where the labels differ."""
    return tf.logical_not(same_class(labels))


def valid_triplets(labels):
    """Return [B, B, B], True at (a, p, n) where (a, p) is a positive pair and (a, n) a negative one."""
    return tf.logical_and(positive_pairs(labels)[:, :, None], negative_pairs(labels)[:, None, :])


def masked_mean(values, mask):
    """Return the mean of `values` where `mask` holds: a scalar, 0 (with gradient 0) where it never holds."""
    chosen = tf.where(mask, values, tf.zeros_like(values))
    # Counted in integers: float32 stops counting triplets one by one at 2^24, a batch of 256.
    count = tf.cast(tf.math.count_nonzero(mask), values.dtype)
    return tf.reduce_sum(chosen) / tf.maximum(count, 1)


def masked_row_max(values, mask):
    """Return the largest entry of each row where `mask` holds: [B, B] -> [B], 0 for a row without any."""
    return _row_extreme(values, mask, tf.reduce_max, values.dtype.min)


def masked_row_min(values, mask):
    """Return the smallest entry of each row where `mask` holds: [B, B] -> [B], 0 for a row without any."""
    return _row_extreme(values, mask, tf.reduce_min, values.dtype.max)


def _row_extreme(values, mask, reduce, never):
    # Filling with a value that cannot win, rather than multiplying by the mask, keeps masked entries out of ties,
    # between which TensorFlow would divide the gradient.
    filled = tf.where(mask, values, tf.fill(tf.shape(values), tf.constant(never, values.dtype)))  # [B, B]
    extreme = reduce(filled, axis=1)  # [B]
    return tf.where(tf.reduce_any(mask, axis=1), extreme, tf.zeros_like(extreme))
