"""The train op: what happens to the gradient on its way, one step at a time."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.schema import TrainingConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training.update import build_update, clip

PLAIN = dict(dataclasses.asdict(TrainingConfig()), optimizer="sgd", weight_decay=0.0)


def options(schedule=(), **training):
    found = dict(PLAIN, **training)
    found["schedule"] = dict(PLAIN["schedule"], **dict(schedule))
    return found


def clipped(**training):
    gradients = [np.float32([[3.0, -4.0]]), np.float32([0.6, 0.8])]  # norms 5 and 1, together 26 ** .5
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run([g for g, _ in clip([(tf.constant(g), None) for g in gradients], options(**training))])


@pytest.mark.parametrize("training, expected", [
    ({}, [[[3.0, -4.0]], [0.6, 0.8]]),
    ({"clip_value": 0.7}, [[[0.7, -0.7]], [0.6, 0.7]]),
    ({"clip_variable_norm": 2.5}, [[[1.5, -2.0]], [0.6, 0.8]]),
    ({"clip_norm": 26 ** 0.5 / 2}, [[[1.5, -2.0]], [0.3, 0.4]]),
    ({"clip_norm": 100.0}, [[[3.0, -4.0]], [0.6, 0.8]]),
    # In this order: values to [3, -3] and [.6, .8]; norm 18 ** .5 to 1; then 2 ** .5 to 1.
    ({"clip_value": 3.0, "clip_variable_norm": 1.0, "clip_norm": 1.0}, [[[0.5, -0.5]], [0.6 * 0.5 ** 0.5,
                                                                                         0.8 * 0.5 ** 0.5]])])
def test_clipping(training, expected):
    for found, wanted in zip(clipped(**training), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_one_cycles_momentum_reaches_the_optimizer():
    """Heavy ball with a momentum of its own each step, against a plain loop."""
    schedule = {"name": "one_cycle", "learning_rate": 0.1, "decay_steps": 6, "rise": 0.5, "cycle_momentum": 0.6}
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=np.float32([1.0, 2.0]))
        gradient = np.float32([0.5, -3.0])
        update = build_update([(tf.constant(gradient), w)], [], options(schedule, optimizer="momentum", momentum=0.9))
        session.run(tf.global_variables_initializer())
        expected, velocity = np.array([1.0, 2.0]), 0.0
        for step in range(6):
            at = session.run(update.watched)
            assert at["momentum"] == pytest.approx(0.75 + 0.15 * np.cos(np.pi * step / 3))
            session.run(update.train)
            velocity = at["momentum"] * velocity + gradient
            expected = expected - at["learning_rate"] * velocity
            np.testing.assert_allclose(session.run(w), expected, rtol=1e-5)
