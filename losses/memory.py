"""Cross-batch memory: embeddings of earlier batches as further candidates (Wang et al., XBM, CVPR 2020, section 3).

A memory of M rows is a ring: what is newest replaces what is oldest. Its variables are not trainable, are global
variables (saved and restored with the rest), and are shared by all towers: every tower compares its images with the
memory as it was before the step, and after the step the images of all towers are stored in the order of the batch. So
what it holds after a step does not depend on the number of towers. No gradient reaches what is stored.
"""
from slim_retrieval.common.tensorflow import tf


def candidates(size, width, dtype):
    """Return (rows [M, d], labels int32 [M]) of the current scope's memory; label -1: an empty place."""
    rows, labels, _ = _variables(size, width, dtype)
    return tf.stop_gradient(tf.identity(rows)), tf.identity(labels)


def store(size, rows, labels, start):
    """Return an op that puts rows into the current scope's memory.

    Args:
      rows: float32 [B, d]; of more than M the last M are kept.
      labels: int32 [B]; rows with a label below 0 are not stored.
      start: global step before which nothing is stored, so that the memory stays empty and plays no part: early
        embeddings move too fast for it (the paper's warm-up).
    """
    ring, ring_labels, position = _variables(size, int(rows.shape[1]), rows.dtype.base_dtype)
    kept = tf.logical_and(labels >= 0, tf.train.get_or_create_global_step() >= start)
    rows, labels = tf.boolean_mask(rows, kept)[-size:], tf.boolean_mask(labels, kept)[-size:]
    count = tf.shape(labels)[0]
    places = tf.floormod(position + tf.range(count), size)
    with tf.control_dependencies([tf.scatter_update(ring, places, tf.stop_gradient(rows)),
                                  tf.scatter_update(ring_labels, places, labels)]):
        return tf.assign(position, tf.floormod(position + count, size)).op


def _variables(size, width, dtype):
    return (tf.get_variable("memory_rows", [size, width], dtype, tf.zeros_initializer(), trainable=False),
            tf.get_variable("memory_labels", [size], tf.int32, tf.constant_initializer(-1), trainable=False),
            tf.get_variable("memory_position", [], tf.int32, tf.zeros_initializer(), trainable=False))
