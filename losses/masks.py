"""Which pairs and triplets of a batch count, and means and extremes over those alone.

Labels are int32 [B]; masks are bool. In a mask [B, N] rows are anchors and columns are candidates: the batch itself,
followed by whatever a memory adds (memory.py). A label below 0 is unknown: neither positive nor negative to anything.
"""
from slim_retrieval.common.tensorflow import tf

NEVER = -1e30  # its exponential is 0 beside any other entry, and differences with it stay finite


def same_class(labels):
    """Return [B, B], True where the labels are equal (on the diagonal too)."""
    return tf.equal(labels[:, None], labels[None, :])


def distinct_pairs(labels, candidates=None):
    """Return [B, N], True off the diagonal: the first B candidates are the anchors themselves."""
    columns = tf.shape(labels if candidates is None else candidates)[0]
    return tf.logical_not(tf.cast(tf.eye(tf.shape(labels)[0], columns), tf.bool))


def positive_pairs(labels, candidates=None):
    """Return [B, N], True where anchor and candidate have one label and are not the same image."""
    columns = labels if candidates is None else candidates
    same = tf.equal(labels[:, None], columns[None, :])
    return tf.logical_and(tf.logical_and(same, labels[:, None] >= 0), distinct_pairs(labels, candidates))


def negative_pairs(labels, candidates=None):
    """Return [B, N], True where the labels differ."""
    columns = labels if candidates is None else candidates
    known = tf.logical_and(labels[:, None] >= 0, columns[None, :] >= 0)
    return tf.logical_and(known, tf.not_equal(labels[:, None], columns[None, :]))


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
    """Return the largest entry of each row where `mask` holds: [B, N] -> [B], 0 for a row without any."""
    return _row_extreme(values, mask, tf.reduce_max, values.dtype.min)


def masked_row_min(values, mask):
    """Return the smallest entry of each row where `mask` holds: [B, N] -> [B], 0 for a row without any."""
    return _row_extreme(values, mask, tf.reduce_min, values.dtype.max)


def masked_row_sum(values, mask):
    """Return the sum of each row where `mask` holds: [B, N] -> [B]."""
    return tf.reduce_sum(tf.where(mask, values, tf.zeros_like(values)), axis=1)


def masked_row_logsumexp(values, mask):
    """Return log sum exp of each row where `mask` holds: [B, N] -> [B], 0 for a row without any."""
    return _row_extreme(values, mask, tf.reduce_logsumexp, NEVER)


def masked_row_log1psumexp(values, mask):
    """Return log(1 + sum exp) of each row where `mask` holds: [B, N] -> [B], 0 for a row without any."""
    first = tf.zeros_like(values[:, :1])
    return masked_row_logsumexp(tf.concat([first, values], 1), tf.concat([tf.equal(first, 0), mask], 1))


def known(labels, *tensors):
    """Return the labels of at least 0, and the same rows of the other tensors."""
    kept = labels >= 0
    return [tf.boolean_mask(tensor, kept) for tensor in (labels,) + tensors]


def mean(values):
    """Return the mean of a vector: 0 (with gradient 0) when it is empty."""
    return tf.reduce_sum(values) / tf.maximum(tf.cast(tf.size(values), values.dtype), 1)


def count(mask, dtype):
    """Return how many entries of each row hold: [B, N] -> [B]."""
    return tf.cast(tf.math.count_nonzero(mask, axis=1), dtype)


def any_of_row(mask):
    """Return whether any entry of each row holds: [B, N] -> bool [B]."""
    return tf.reduce_any(mask, axis=1)


def _row_extreme(values, mask, reduce, never):
    # Filling with a value that cannot win, rather than multiplying by the mask, keeps masked entries out of ties,
    # between which TensorFlow would divide the gradient.
    filled = tf.where(mask, values, tf.fill(tf.shape(values), tf.constant(never, values.dtype)))  # [B, B]
    extreme = reduce(filled, axis=1)  # [B]
    return tf.where(tf.reduce_any(mask, axis=1), extreme, tf.zeros_like(extreme))
