"""What a tensor depends on, and batch norm that keeps still there: a network frozen up to one of its layers.

No backward pass is computed through the frozen part: tf.gradients follows only paths that lead to a variable that it
is asked for, and none lies there.
"""
import contextlib
import functools
import sys

from slim_retrieval.common.tensorflow import slim, tf


def variables_behind(tensor):
    """Return the names of all variables that `tensor` depends on, found by walking its graph backwards."""
    variables = {v.op.name for v in tf.global_variables()}
    waiting, seen = [tensor.op], set()
    while waiting:
        op = waiting.pop()
        if op.name not in seen:
            seen.add(op.name)
            waiting += [value.op for value in op.inputs] + list(op.control_inputs)
    return frozenset(variables & seen)


@contextlib.contextmanager
def frozen_batch_norm(frozen):
    """Within it slim.batch_norm uses and keeps the stored averages where they are among the names `frozen`.

    The networks of tf_slim set is_training once for all their layers, and look batch_norm up in its module when they
    are built: there it is replaced for as long.
    """
    homes = [slim] + [sys.modules[slim.__name__ + name] for name in (".layers", ".layers.layers")]
    original = slim.batch_norm

    @functools.wraps(original)  # with the mark by which slim.arg_scope knows it
    def batch_norm(inputs, *args, **kwargs):
        scope = "/".join(part for part in (tf.get_variable_scope().name, kwargs.get("scope") or "BatchNorm") if part)
        if scope + "/moving_mean" in frozen:
            kwargs["is_training"] = False
        return original(inputs, *args, **kwargs)

    try:
        for home in homes:
            home.batch_norm = batch_norm
        yield
    finally:
        for home in homes:
            home.batch_norm = original
