"""Random numbers inside a loss that a resumed run draws again: a function of (seed, step) alone."""
from slim_retrieval.common.tensorflow import tf


def uniform(shape, dtype):
    """Return numbers from [0, 1), the same for one seed of the graph (tf.set_random_seed) and one global step.

    A stateful generator would start anew when a run is resumed.
    """
    seed = tf.get_default_graph().seed or 0
    step = tf.cast(tf.train.get_or_create_global_step(), tf.int64)
    # Below 1 even after a multiplication that rounds.
    seeds = tf.stack([tf.constant(seed, tf.int64), step])
    return tf.random.stateless_uniform(shape, seeds, maxval=0.999999, dtype=dtype)
