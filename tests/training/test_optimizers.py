import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import optimizers, schedules

START, GRADIENT = np.array([1.0, -2.0, 0.5]), np.array([0.3, -0.01, 4.0])


def updates(name, rate, steps=2, momentum=0.9):
    """Return the variable after each step on the loss sum(GRADIENT * w), whose gradient is GRADIENT."""
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=START.astype(np.float32))
        loss = tf.reduce_sum(w * GRADIENT.astype(np.float32))
        train = optimizers.build_optimizer(name, rate, momentum).minimize(loss)
        session.run(tf.global_variables_initializer())
        found = []
        for _ in range(steps):
            session.run(train)
            found.append(session.run(w))
        return found


def sgd(g, rate, momentum):
    while True:
        yield -rate * g


def heavy_ball(g, rate, momentum):
    velocity = np.zeros_like(g)
    while True:
        velocity = momentum * velocity + g
        yield -rate * velocity


def adam(g, rate, momentum):
    m, v, t = np.zeros_like(g), np.zeros_like(g), 0
    while True:
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        yield -rate * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)


def rmsprop(g, rate, momentum):
    mean_square, velocity = np.ones_like(g), np.zeros_like(g)  # TensorFlow starts the average at 1
    while True:
        mean_square = 0.9 * mean_square + 0.1 * g ** 2
        velocity = momentum * velocity + rate * g / np.sqrt(mean_square + 1e-10)
        yield -velocity


def adagrad(g, rate, momentum):
    total = np.full_like(g, 0.1)
    while True:
        total = total + g ** 2
        yield -rate * g / np.sqrt(total)


def adadelta(g, rate, momentum):
    squares, changes = np.zeros_like(g), np.zeros_like(g)
    while True:
        squares = 0.95 * squares + 0.05 * g ** 2
        change = np.sqrt(changes + 1e-6) / np.sqrt(squares + 1e-6) * g
        changes = 0.95 * changes + 0.05 * change ** 2
        yield -rate * change


def ftrl(g, rate, momentum):
    # McMahan et al. 2013, algorithm 1 with beta = lambda = 0: w = -z / (sqrt(n) / rate).
    w, z, n = START, np.zeros_like(g), np.full_like(g, 0.1)
    while True:
        z = z + g - (np.sqrt(n + g ** 2) - np.sqrt(n)) / rate * w
        n = n + g ** 2
        new = -z * rate / np.sqrt(n)
        yield new - w
        w = new


FORMULAS = {"sgd": sgd, "momentum": heavy_ball, "adam": adam, "rmsprop": rmsprop, "adagrad": adagrad,
            "adadelta": adadelta, "ftrl": ftrl}


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_two_steps_equal_the_published_formula(name):
    w, formula = START, FORMULAS[name](GRADIENT, 0.1, 0.8)
    for found in updates(name, 0.1, momentum=0.8):
        w = w + next(formula)
        # float32; Adam's bias correction is taken in float32 powers of beta.
        np.testing.assert_allclose(found, w, rtol=2e-5, atol=1e-6)


def test_every_optimizer_has_a_formula():
    assert set(FORMULAS) == set(optimizers.OPTIMIZERS)


def test_adam_moves_by_the_learning_rate():
    # The first step is rate * sign(gradient) however small the gradient; with slim's epsilon of 1.0 the second
    # coordinate would move by a hundredth of that.
    np.testing.assert_allclose(updates("adam", 0.1, steps=1)[0] - START, [-0.1, 0.1, -0.1], atol=1e-5)


def test_schedule_advances_once_per_update():
    # Rates 4, 2, 1 on a gradient of 1: counted twice per update they would be 4, 1, .25.
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        rate = schedules.learning_rate(
            {"name": "exponential", "learning_rate": 4.0, "decay_steps": 1, "decay_rate": 0.5}, step)
        w = tf.get_variable("w", initializer=0.0)
        optimizer = optimizers.build_optimizer("sgd", rate)
        train = optimizer.apply_gradients([(tf.constant(1.0), w)], global_step=step)
        session.run(tf.global_variables_initializer())
        for expected in (-4, -6, -7):
            session.run(train)
            assert session.run(w) == expected


def test_unknown_name():
    with pytest.raises(InputError, match=r"unknown optimizer 'adm' \(did you mean adam\?\); known: adadelta, adagrad, "
                                         "adam, ftrl, momentum, rmsprop, sgd"):
        optimizers.build_optimizer("adm", 0.1)
