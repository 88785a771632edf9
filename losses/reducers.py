"""From the losses of pairs, triplets or anchors to one scalar. A reducer takes any loss that has the option.

Each takes (losses, valid) of one shape, the first axis being the anchor, and returns a scalar that is 0 with gradient 0
when nothing is valid.
"""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks


def mean(losses, valid):
    """Return the mean over what is valid."""
    return masks.masked_mean(losses, valid)


def mean_active(losses, valid):
    """Return the mean over what is valid and costs anything (Hermans, Beyer and Leibe 2017: "non-zero")."""
    return masks.masked_mean(losses, tf.logical_and(valid, losses > 0))


def total(losses, valid):
    """Return the sum over what is valid: it grows with the batch, and the learning rate must fall with it."""
    return tf.reduce_sum(tf.where(valid, losses, tf.zeros_like(losses)))


def mean_per_anchor(losses, valid):
    """Return the mean over anchors of each anchor's own mean: an anchor of a large class weighs no more than others."""
    rows = tf.shape(losses)[0]
    # A batch of 0 rows leaves -1 nothing to be worked out from.
    shape = tf.stack([rows, tf.reduce_prod(tf.shape(losses)[1:])])
    losses, valid = tf.reshape(losses, shape), tf.reshape(valid, shape)
    means = masks.masked_row_sum(losses, valid) / tf.maximum(masks.count(valid, losses.dtype), 1)
    return masks.masked_mean(means, masks.any_of_row(valid))


REDUCERS = {"mean": mean, "mean_active": mean_active, "sum": total, "mean_per_anchor": mean_per_anchor}
