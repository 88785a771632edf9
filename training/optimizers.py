"""Optimizers by name, with the constants of their papers or of TensorFlow; the difference from slim is said."""
from slim_retrieval.common.errors import lookup
from slim_retrieval.common.tensorflow import tf


def build_optimizer(name, learning_rate, momentum=0.9):
    """Return a tf.train.Optimizer.

    Args:
      name: sgd, momentum, adam, rmsprop, adagrad, adadelta or ftrl.
      learning_rate: float or scalar tensor (a schedule).
      momentum: of momentum and rmsprop; the others do not use it.
    Raises:
      InputError: unknown name.
    """
    return lookup(OPTIMIZERS, name, "optimizer")(learning_rate, momentum)


def _sgd(learning_rate, momentum):
    return tf.train.GradientDescentOptimizer(learning_rate)


def _momentum(learning_rate, momentum):
    return tf.train.MomentumOptimizer(learning_rate, momentum)


def _adam(learning_rate, momentum):
    # Kingma and Ba 2015. slim's training script has epsilon 1.0, with which Adam hardly moves.
    return tf.train.AdamOptimizer(learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8)


def _rmsprop(learning_rate, momentum):
    # TensorFlow's constants. slim's training script has epsilon 1.0 here too.
    return tf.train.RMSPropOptimizer(learning_rate, decay=0.9, momentum=momentum, epsilon=1e-10)


def _adagrad(learning_rate, momentum):
    return tf.train.AdagradOptimizer(learning_rate, initial_accumulator_value=0.1)


def _adadelta(learning_rate, momentum):
    # Zeiler 2012, table 1: rho 0.95, epsilon 1e-6; the paper's learning rate is 1. TensorFlow's epsilon of 1e-8 makes
    # the first steps ten times smaller still.
    return tf.train.AdadeltaOptimizer(learning_rate, rho=0.95, epsilon=1e-6)


def _ftrl(learning_rate, momentum):
    # McMahan et al. 2013, without the L1 and L2 terms: weight decay is training's own.
    return tf.train.FtrlOptimizer(learning_rate, learning_rate_power=-0.5, initial_accumulator_value=0.1)


OPTIMIZERS = {
    "sgd": _sgd,
    "momentum": _momentum,
    "adam": _adam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "ftrl": _ftrl,
}
