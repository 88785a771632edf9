"""slim's seven optimizers by name, with the flags of its training script and defaults that train.

Where this differs from that script: `opt_epsilon` 0 is each optimizer's own constant (the script's 1.0 all but stops
Adam), and FTRL starts from the weights that it is given.
"""
import dataclasses
import logging

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig

log = logging.getLogger(__name__)

# Kingma and Ba 2015; TensorFlow's constant; Zeiler 2012, table 1. TensorFlow's own 1e-8 makes Adadelta's first steps
# ten times smaller still.
EPSILONS = {"adam": 1e-8, "rmsprop": 1e-10, "adadelta": 1e-6}


def build_optimizer(options, learning_rate, momentum=None):
    """Return a tf.train.Optimizer.

    Args:
      options: dict of TrainingConfig; what is left out takes its default there.
      learning_rate: float or scalar tensor (a schedule).
      momentum: scalar tensor in place of the option, for `momentum` and `rmsprop`; None: the option.
    Raises:
      InputError: unknown name, or a momentum tensor for an optimizer that has none.
    """
    complete = dict(dataclasses.asdict(TrainingConfig()), **options)
    name = complete["optimizer"]
    build, _ = lookup(OPTIMIZERS, name, "optimizer")
    complete["opt_epsilon"] = complete["opt_epsilon"] or EPSILONS.get(name)
    if momentum is not None:
        complete[momentum_option(name)] = momentum
    return build(learning_rate, complete)


def check_optimizer(options):
    """Warn in a line of each option that is set but not used by the optimizer, and of settings that hardly train.

    Raises:
      InputError: unknown name.
    """
    name, defaults = options["optimizer"], dataclasses.asdict(TrainingConfig())
    _, used = lookup(OPTIMIZERS, name, "optimizer")
    for key in sorted({key for _, keys in OPTIMIZERS.values() for key in keys} - set(used)):
        if options[key] != defaults[key]:
            log.warning("training.%s = %s has no effect: %s does not use it (it has %s)", key, options[key], name,
                        ", ".join(used) or "none")
    if name in EPSILONS and options["opt_epsilon"] >= 0.01:
        log.warning("training.opt_epsilon = %g: %s hardly moves where gradients are smaller than that; 0 is its own %g",
                    options["opt_epsilon"], name, EPSILONS[name])
    if name == "ftrl" and (options["schedule"]["name"] != "fixed" or options["schedule"]["warmup_steps"]):
        log.warning("training.optimizer ftrl makes the weights anew from its sums at the present rate, so a learning "
                    "rate that changes scales all weights with it; use the schedule fixed, without warm-up")


def momentum_option(name):
    """Return the option that holds an optimizer's momentum.

    Raises:
      InputError: it has none.
    """
    option = {"momentum": "momentum", "rmsprop": "rmsprop_momentum"}.get(name)
    if option is None:
        raise InputError("training.schedule.cycle_momentum: {} has no momentum; those that have one: momentum, "
                         "rmsprop".format(name))
    return option


def start_ops(optimizer, variables, options, learning_rate):
    """Return the ops to run once when training starts, after the variables have their first values.

    FTRL keeps sums, not weights: left at zero they would make its first step throw the weights away, those of a
    pretrained network too. Here they start at the value whose minimum is the weights as they are.
    """
    if options["optimizer"] != "ftrl":
        return []
    quadratic = options["ftrl_initial_accumulator_value"] ** -options["ftrl_learning_rate_power"] / learning_rate
    return [optimizer.get_slot(v, "linear").assign(
        -(quadratic + 2 * options["ftrl_l2"]) * v - options["ftrl_l1"] * tf.sign(v)).op for v in variables]


def _sgd(rate, o):
    return tf.train.GradientDescentOptimizer(rate)


def _momentum(rate, o):
    # Velocity u = momentum u + g; w -= rate u, or with Nesterov's momentum w -= rate (g + momentum u).
    return tf.train.MomentumOptimizer(rate, o["momentum"], use_nesterov=o["nesterov"])


def _adam(rate, o):
    return tf.train.AdamOptimizer(rate, o["adam_beta1"], o["adam_beta2"], o["opt_epsilon"])


def _rmsprop(rate, o):
    # TensorFlow's: the average of squares starts at 1, and epsilon stands inside the root.
    return tf.train.RMSPropOptimizer(rate, o["rmsprop_decay"], o["rmsprop_momentum"], o["opt_epsilon"])


def _adagrad(rate, o):
    return tf.train.AdagradOptimizer(rate, o["adagrad_initial_accumulator_value"])


def _adadelta(rate, o):
    # The paper's learning rate is 1.
    return tf.train.AdadeltaOptimizer(rate, o["adadelta_rho"], o["opt_epsilon"])


def _ftrl(rate, o):
    # McMahan et al. 2013. ftrl_l2 is FTRL's own; weight decay is added to the gradient besides.
    return tf.train.FtrlOptimizer(rate, o["ftrl_learning_rate_power"], o["ftrl_initial_accumulator_value"],
                                  o["ftrl_l1"], o["ftrl_l2"])


# Name -> (how it is built, the options of TrainingConfig that it uses).
OPTIMIZERS = {
    "sgd": (_sgd, []),
    "momentum": (_momentum, ["momentum", "nesterov"]),
    "adam": (_adam, ["adam_beta1", "adam_beta2", "opt_epsilon"]),
    "rmsprop": (_rmsprop, ["rmsprop_momentum", "rmsprop_decay", "opt_epsilon"]),
    "adagrad": (_adagrad, ["adagrad_initial_accumulator_value"]),
    "adadelta": (_adadelta, ["adadelta_rho", "opt_epsilon"]),
    "ftrl": (_ftrl, ["ftrl_learning_rate_power", "ftrl_initial_accumulator_value", "ftrl_l1", "ftrl_l2"]),
}
