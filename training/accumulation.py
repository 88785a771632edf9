"""Gradient accumulation: one step from several micro-batches, for a global batch that does not fit into memory.

The gradient is the mean of the micro-batches' gradients. Each of them is a batch of its own for everything else: batch
norm normalises by its moments and moves its averages once for each, losses mine in it and means are taken over it. So
without batch norm, or with it frozen, a loss that is a mean over images gives the gradient of one large batch.
"""
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf

# mean: [(gradient, variable)] of all micro-batches, in the run of the last one; add: op for each one before it;
# clear: function () -> op to be built where the mean has been used.
Accumulation = namedtuple("Accumulation", "mean add clear")


def accumulate(gradients, update_ops, count):
    """Return the Accumulation of `count` micro-batches.

    The sums are local variables: between two steps they are zero, so a checkpoint does not need them.

    Args:
      gradients: [(gradient, variable)] of one micro-batch.
      update_ops: what each micro-batch changes besides.
    """
    sums = [tf.get_local_variable("accumulated/" + v.op.name, initializer=tf.zeros(v.shape, g.dtype))
            for g, v in gradients]
    add = tf.group(*[total.assign_add(g).op for total, (g, _) in zip(sums, gradients)] + list(update_ops))
    mean = [((total + g) / float(count), v) for total, (g, v) in zip(sums, gradients)]

    def clear():
        return tf.group(*[total.assign(tf.zeros_like(total)).op for total in sums])

    return Accumulation(mean, add, clear)
