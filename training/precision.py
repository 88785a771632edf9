"""Training in float16 or bfloat16: the backbone's layers in it, variables, normalisations and losses in float32.

Micikevicius et al., "Mixed Precision Training", ICLR 2018: master variables in float32 (section 3.1), the loss scaled
so that small gradients do not vanish in float16 (section 3.2), sums in float32 (section 3.3). bfloat16 has the range of
float32 and needs no scale.
"""
from collections import namedtuple

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf

TYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16, "float16": tf.float16}
LARGEST = 2.0 ** 24  # where gradients are all 0 the scale would double for ever

# scale: float32 variable []; good_steps: int64 variable [], steps in a row whose gradients were finite.
LossScale = namedtuple("LossScale", "scale good_steps")


def layer_type(precision):
    """Return the type of the backbone's layers.

    Raises:
      InputError: bfloat16 on TensorFlow 1.15, which has no convolution in it.
    """
    if precision == "bfloat16" and tf.__version__.startswith("1."):
        raise InputError("training.precision is bfloat16, which TensorFlow {} cannot convolve in; take float16 or "
                         "float32, or TensorFlow 2".format(tf.__version__))
    return TYPES[precision]


def float32_variables(getter, name, *args, **kwargs):
    """Custom getter of a variable scope: what is asked for in fewer bits is kept in float32 and cast for its reader."""
    wanted = tf.as_dtype(kwargs.get("dtype") or tf.float32)
    if wanted not in (tf.float16, tf.bfloat16):
        return getter(name, *args, **kwargs)
    return tf.cast(getter(name, *args, **dict(kwargs, dtype=tf.float32)), wanted)


def loss_scale(training):
    """Return the LossScale in the current graph, or None where `training.precision` needs none."""
    if training["precision"] != "float16":
        return None
    with tf.variable_scope("loss_scale", reuse=tf.AUTO_REUSE):
        return LossScale(
            tf.get_variable("scale", [], tf.float32, tf.constant_initializer(training["loss_scale"]), trainable=False),
            tf.get_variable("good_steps", [], tf.int64, tf.zeros_initializer(), trainable=False))


def global_norm(gradients, state):
    """Return the norm of all gradients together, float32 []; with a LossScale 0 where it is not finite: that step is
    left out, and nothing is wrong."""
    norm = tf.global_norm([g for g, _ in gradients])
    return tf.where(tf.is_finite(norm), norm, 0.0) if state else norm


def guarded(step, gradients, state, global_step, training):
    """Return an op that makes the step where all gradients are finite, else only counts it, and adjusts the scale.

    Batch norm's averages and memories of losses are of the forward pass, which the scale does not touch: they go on.

    Args:
      step: function that builds the step's op, which adds one to `global_step`.
      gradients: [(gradient, variable)].
      state: LossScale.
    """
    finite = tf.reduce_all(tf.stack([tf.reduce_all(tf.is_finite(g)) for g, _ in gradients]))

    def after(operation):
        with tf.control_dependencies([operation]):
            return tf.constant(True)
    made = tf.cond(finite, lambda: after(step()), lambda: after(tf.assign_add(global_step, 1).op))
    return tf.group(made, _adjust(state, finite, training))


def _adjust(state, finite, training):
    """Return an op that halves the scale after gradients that are not finite (never below 1), and doubles it after
    `training.loss_scale_steps` steps in a row that are."""
    good = tf.where(finite, state.good_steps + 1, tf.zeros_like(state.good_steps))
    grown = tf.equal(good, training["loss_scale_steps"])
    scale = tf.where(finite, tf.where(grown, tf.minimum(2 * state.scale, LARGEST), tf.identity(state.scale)),
                     tf.maximum(state.scale / 2, 1.0))
    return tf.group(tf.assign(state.scale, scale),
                    tf.assign(state.good_steps, tf.where(grown, tf.zeros_like(good), good)))
