"""How the losses of a list are summed: fixed weights, weights learned from uncertainty, or GradNorm.

Each takes (values, present, weights, shared, options) and returns (total, the weight of each loss): `values` the
losses, `present` 1 or 0 for a loss with or without a label in the batch, `weights` the numbers of the configuration,
`shared` the tensors of the trunk that all losses depend on. The variables live in the current scope.
"""
from slim_retrieval.common.tensorflow import tf

LOG_VARIANCE_BOUND = 5.0


def fixed(values, present, weights, shared, options):
    """Return sum_i weight_i L_i."""
    return tf.add_n([weight * value for weight, value in zip(weights, values)]), [float(w) for w in weights]


def uncertainty(values, present, weights, shared, options):
    """Return sum_i weight_i (e^{-s_i} L_i + s_i / 2), s_i = log sigma_i^2 trainable, 0 at first.

    Kendall, Gal and Cipolla, CVPR 2018, equation 10 (the form for cross entropy, used for metric losses as well, which
    are no likelihoods). s is kept within (-5, 5): without a bound the weight of a loss that reaches 0 grows for ever.
    A loss without a label in the batch leaves its s alone.
    """
    free = tf.get_variable("log_variance", [len(values)], tf.float32, tf.zeros_initializer())
    log_variance = tf.unstack(LOG_VARIANCE_BOUND * tf.tanh(free / LOG_VARIANCE_BOUND))
    factors = [tf.exp(-s) for s in log_variance]
    total = tf.add_n([weight * (factor * value + there * s / 2) for weight, factor, value, there, s in zip(
        weights, factors, values, present, log_variance)])
    return total, [weight * factor for weight, factor in zip(weights, factors)]


def gradnorm(values, present, weights, shared, options):
    """Return sum_i weight_i w_i L_i; w learns to balance the gradients that the losses send into the trunk.

    Chen, Badrinarayanan, Lee and Rabinovich, ICML 2018, equations 1 and 2: with G_i = w_i |grad L_i| and r_i the ratio
    of L_i to its first value over the mean ratio, w follows the gradient of sum_i |G_i - mean(G) r_i^alpha|.
    Not as published: the gradient is taken at the pooled feature rather than at the last shared layer's weights (one
    cheap backward pass a loss); w = T softmax(v), so that it stays positive and sums to T without a step of its own; v
    has the optimizer and learning rate of everything else, and its gradient is divided by mean(G), so that the scale of
    the losses does not matter. `weight_i` of the configuration is a fixed factor on top.
    """
    count = len(values)
    free = tf.get_variable("gradnorm", [count], tf.float32, tf.zeros_initializer())
    first = first_losses(count)
    learned = count * tf.nn.softmax(free)  # [T]
    there = tf.stack(present)  # [T]
    norms = tf.stop_gradient(tf.stack([_norm(value, shared) for value in values]))  # [T]
    current = tf.stop_gradient(tf.stack(values))
    ratios = tf.maximum(current, 0.0) / tf.maximum(tf.where(first >= 0, first, current), 1e-8)
    sizes = tf.stop_gradient(learned) * norms
    mean_size = _mean(sizes, there)
    rates = tf.pow(tf.maximum(ratios / tf.maximum(_mean(ratios, there), 1e-8), 1e-8), options["alpha"])
    slopes = there * tf.sign(sizes - mean_size * rates) * norms / tf.maximum(mean_size, 1e-8)
    balance = tf.reduce_sum(learned * slopes)
    used = tf.unstack(tf.stop_gradient(learned))
    total = tf.add_n([weight * w * value for weight, w, value in zip(weights, used, values)])
    return total + balance - tf.stop_gradient(balance), [weight * w for weight, w in zip(weights, used)]


def first_losses(count):
    """Return GradNorm's memory of the first values: a float32 variable [T], -1 where there was none yet."""
    return tf.get_variable("first_losses", [count], tf.float32, tf.constant_initializer(-1.0), trainable=False)


def _norm(value, shared):
    """Return the length of the gradient of `value` by all of `shared` together."""
    gradients = [g for g in tf.gradients(value, shared) if g is not None]
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients])) if gradients else tf.constant(0.0)


def _mean(values, there):
    return tf.reduce_sum(values * there) / tf.maximum(tf.reduce_sum(there), 1.0)


WEIGHTINGS = {"fixed": fixed, "uncertainty": uncertainty, "gradnorm": gradnorm}
