import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.training import optimizers, schedules

START, GRADIENT = np.array([1.0, -2.0, 0.5]), np.array([0.3, -0.01, 4.0])
RATE = 0.1
DEFAULTS = dataclasses.asdict(TrainingConfig())


def updates(options, steps=2, start=False):
    """Return the variable after each step on the loss sum(GRADIENT * w), whose gradient is GRADIENT."""
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=START.astype(np.float32))
        optimizer = optimizers.build_optimizer(options, RATE)
        train = optimizer.minimize(tf.reduce_sum(w * GRADIENT.astype(np.float32)))
        session.run(tf.global_variables_initializer())
        if start:
            session.run(optimizers.start_ops(optimizer, [w], dict(DEFAULTS, **options), RATE))
        found = []
        for _ in range(steps):
            session.run(train)
            found.append(session.run(w))
        return found


def sgd(g, o):
    while True:
        yield -RATE * g


def momentum(g, o):
    velocity = np.zeros_like(g)
    while True:
        velocity = o["momentum"] * velocity + g
        yield -RATE * (g + o["momentum"] * velocity if o["nesterov"] else velocity)


def adam(g, o):
    m, v, t, one, two = np.zeros_like(g), np.zeros_like(g), 0, o["adam_beta1"], o["adam_beta2"]
    while True:
        t += 1
        m, v = one * m + (1 - one) * g, two * v + (1 - two) * g ** 2
        # Kingma and Ba's epsilon hat, as TensorFlow has it: beside the root that is not yet corrected.
        yield -RATE * np.sqrt(1 - two ** t) / (1 - one ** t) * m / (np.sqrt(v) + (o["opt_epsilon"] or 1e-8))


def rmsprop(g, o):
    mean_square, velocity = np.ones_like(g), np.zeros_like(g)  # TensorFlow starts the average at 1
    while True:
        mean_square = o["rmsprop_decay"] * mean_square + (1 - o["rmsprop_decay"]) * g ** 2
        velocity = o["rmsprop_momentum"] * velocity + RATE * g / np.sqrt(mean_square + (o["opt_epsilon"] or 1e-10))
        yield -velocity


def adagrad(g, o):
    total = np.full_like(g, o["adagrad_initial_accumulator_value"])
    while True:
        total = total + g ** 2
        yield -RATE * g / np.sqrt(total)


def adadelta(g, o):
    squares, changes, rho, epsilon = np.zeros_like(g), np.zeros_like(g), o["adadelta_rho"], o["opt_epsilon"] or 1e-6
    while True:
        squares = rho * squares + (1 - rho) * g ** 2
        change = np.sqrt(changes + epsilon) / np.sqrt(squares + epsilon) * g
        changes = rho * changes + (1 - rho) * change ** 2
        yield -RATE * change


def ftrl(g, o):
    # McMahan et al. 2013, algorithm 1 with beta = 0; the power of n is -learning_rate_power, and lambda_2 counts twice.
    power, l1, l2 = -o["ftrl_learning_rate_power"], o["ftrl_l1"], o["ftrl_l2"]
    w, z, n = START, np.zeros_like(g), np.full_like(g, o["ftrl_initial_accumulator_value"])
    while True:
        z = z + g - ((n + g ** 2) ** power - n ** power) / RATE * w
        n = n + g ** 2
        new = np.where(np.abs(z) <= l1, 0.0, (np.sign(z) * l1 - z) / (n ** power / RATE + 2 * l2))
        yield new - w
        w = new


FORMULAS = {f.__name__: f for f in (sgd, momentum, adam, rmsprop, adagrad, adadelta, ftrl)}
# Each option at a value that is not its default; with nothing set, the formula's defaults are those of the schema.
OPTIONS = [("sgd", {}), ("momentum", {}), ("momentum", {"momentum": 0.5}),
           ("momentum", {"momentum": 0.5, "nesterov": True}), ("adam", {}),
           ("adam", {"adam_beta1": 0.7, "adam_beta2": 0.9, "opt_epsilon": 0.5}), ("rmsprop", {}),
           ("rmsprop", {"rmsprop_decay": 0.5, "rmsprop_momentum": 0.2, "opt_epsilon": 0.5}), ("adagrad", {}),
           ("adagrad", {"adagrad_initial_accumulator_value": 2.0}), ("adadelta", {}),
           ("adadelta", {"adadelta_rho": 0.5, "opt_epsilon": 0.01}), ("ftrl", {}),
           ("ftrl", {"ftrl_learning_rate_power": -0.7, "ftrl_initial_accumulator_value": 0.5, "ftrl_l1": 0.3,
                     "ftrl_l2": 0.2})]


@pytest.mark.parametrize("name, options", OPTIONS)
def test_two_steps_equal_the_published_formula(name, options):
    w, formula = START, FORMULAS[name](GRADIENT, dict(DEFAULTS, **options))
    for found in updates(dict(options, optimizer=name)):
        w = w + next(formula)
        # float32; Adam's bias correction is taken in float32 powers of beta.
        np.testing.assert_allclose(found, w, rtol=2e-5, atol=1e-6)


def test_every_optimizer_and_every_option_is_tested():
    assert set(FORMULAS) == set(optimizers.OPTIMIZERS)
    for name, (_, options) in optimizers.OPTIMIZERS.items():
        assert set(options) == {key for tested, given in OPTIONS for key in given if tested == name}


@pytest.mark.parametrize("options", [{}, {"ftrl_learning_rate_power": -0.7, "ftrl_l1": 0.3, "ftrl_l2": 0.2}])
def test_ftrl_starts_from_the_weights_it_is_given(options):
    """Without its sums set for them its first step throws away the weights, those of a pretrained network too."""
    thrown_away = updates(dict(options, optimizer="ftrl"), 1)[0]
    assert np.abs(thrown_away - START).max() > 0.4
    found = updates(dict(options, optimizer="ftrl"), 1, start=True)[0]
    power, l2 = -options.get("ftrl_learning_rate_power", -0.5), options.get("ftrl_l2", 0.0)
    step = GRADIENT / ((0.1 + GRADIENT ** 2) ** power / RATE + 2 * l2)  # Adagrad's, but for the L2 term
    np.testing.assert_allclose(found, START - step, rtol=1e-5)


@pytest.mark.parametrize("options, lines", [
    ({"optimizer": "adam", "adam_beta1": 0.8}, []),
    ({"optimizer": "adam", "momentum": 0.8}, ["training.momentum = 0.8 has no effect: adam does not use it (it has "
                                              "adam_beta1, adam_beta2, opt_epsilon)"]),
    ({"optimizer": "sgd", "nesterov": True}, ["training.nesterov = True has no effect: sgd does not use it (it has "
                                              "none)"]),
    ({"optimizer": "rmsprop", "momentum": 0.5}, ["it has rmsprop_momentum"]),
    ({"optimizer": "adam", "opt_epsilon": 1.0}, ["adam hardly moves"]),
    ({"optimizer": "ftrl", "schedule": {"name": "cosine", "warmup_steps": 0}}, ["scales all weights"])])
def test_what_has_no_effect_is_said(options, lines, caplog):
    optimizers.check_optimizer(dict(DEFAULTS, **options))
    assert len(caplog.messages) == len(lines)
    for message, line in zip(caplog.messages, lines):
        assert line in message


def test_adam_moves_by_the_learning_rate():
    # The first step is rate * sign(gradient) however small the gradient; with slim's epsilon of 1.0 the second
    # coordinate would move by a hundredth of that.
    np.testing.assert_allclose(updates({"optimizer": "adam"}, 1)[0] - START, [-0.1, 0.1, -0.1], atol=1e-5)


def test_schedule_advances_once_per_update():
    # Rates 4, 2, 1 on a gradient of 1: counted twice per update they would be 4, 1, .25.
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        rate = schedules.learning_rate(
            {"name": "exponential", "learning_rate": 4.0, "decay_steps": 1, "decay_rate": 0.5}, step)
        w = tf.get_variable("w", initializer=0.0)
        optimizer = optimizers.build_optimizer({"optimizer": "sgd"}, rate)
        train = optimizer.apply_gradients([(tf.constant(1.0), w)], global_step=step)
        session.run(tf.global_variables_initializer())
        for expected in (-4, -6, -7):
            session.run(train)
            assert session.run(w) == expected


def test_unknown_name():
    with pytest.raises(InputError, match=r"unknown optimizer 'adm' \(did you mean adam\?\); known: adadelta, adagrad, "
                                         "adam, ftrl, momentum, rmsprop, sgd"):
        optimizers.build_optimizer({"optimizer": "adm"}, 0.1)
