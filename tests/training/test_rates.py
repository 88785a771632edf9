"""Learning rates by scope, against updates worked out by hand."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.training import towers
from slim_retrieval.training.freezing import frozen_variables
from slim_retrieval.training.rates import factor_of
from slim_retrieval.training.update import build_update

TRAINING = dataclasses.asdict(TrainingConfig())
GRADIENT, START = np.float32([0.5, -3.0]), np.float32([1.0, 2.0])
NAMES = ["net/b1/w", "net/b10/w", "net/b1/deep/w", "new/w"]
RATES = {"net": 0.5, "net/b1": 0.1, "net/b1/deep": 0}
FACTORS = [0.1, 0.5, 0.0, 1.0]


def options(**changes):
    found = dict(TRAINING, weight_decay=0.0, **changes)
    return dict(found, schedule=dict(found["schedule"], name="fixed", learning_rate=0.2))


def steps(training, count=3):
    """Return the variables, [steps, variables, 2], each with the same gradient, and the step at last."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(name, initializer=START) for name in NAMES]
        update = build_update([(tf.constant(GRADIENT), v) for v in variables], [], training)
        session.run(tf.global_variables_initializer())
        session.run(update.start)
        found = []
        for _ in range(count):
            session.run(update.train)
            found.append(session.run(variables))
        return np.array(found), session.run(tf.train.get_global_step())


@pytest.mark.parametrize("names, expected", [(NAMES, FACTORS), (["net/w", "network/w", "net"], [0.5, 1.0, 0.5])])
def test_the_longest_scope_counts_and_takes_whole_components(names, expected):
    assert [factor_of(name, RATES) for name in names] == expected


def test_momentum_by_hand():
    found, step = steps(options(optimizer="momentum", momentum=0.9, rate_multipliers=RATES))
    velocity, expected = np.zeros(2), np.array([START] * 4, np.float64)
    for values in found:
        velocity = 0.9 * velocity + GRADIENT
        expected = expected - 0.2 * np.outer(FACTORS, velocity)
        np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_array_equal(found[:, 2], [START] * 3)  # bit for bit
    assert step == 3  # counted once, whatever the number of factors


def test_adam_by_hand():
    found, _ = steps(options(optimizer="adam", adam_beta1=0.9, adam_beta2=0.99, rate_multipliers=RATES))
    m, v, expected = np.zeros(2), np.zeros(2), np.array([START] * 4, np.float64)
    for t, values in enumerate(found, start=1):
        m, v = 0.9 * m + 0.1 * GRADIENT, 0.99 * v + 0.01 * GRADIENT.astype(float) ** 2
        change = (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.99 ** t)) + 1e-8)
        expected = expected - 0.2 * np.outer(FACTORS, change)
        np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad", "adadelta"])
def test_the_factor_multiplies_the_update_of_others_too(name):
    found, _ = steps(options(optimizer=name, rate_multipliers=RATES))
    updates = found - START
    np.testing.assert_allclose(updates, updates[:, 3:] * np.array(FACTORS)[None, :, None], rtol=1e-3, atol=1e-6)
    assert np.abs(updates[:, 3]).min() > 1e-5


def test_ftrl_starts_from_the_weights_at_each_rate():
    found, _ = steps(options(optimizer="ftrl", rate_multipliers={"net": 0.001}), 1)
    np.testing.assert_allclose(found[0, 0], START, atol=1e-3)
    assert np.abs(found[0, 3] - START).min() > 0.05


@pytest.mark.parametrize("rates, message", [
    ({"nett": 0.1}, r"no trainable variable lies under 'nett' \(did you mean net\?\); there are net, new"),
    ({"net/b": 0.1}, "no trainable variable lies under 'net/b'"),
    ({"net": -1}, "the factor of net is -1; give a number from 0 up"),
    ({"net": "half"}, "the factor of net is 'half'"),
    ({"net": float("nan")}, "the factor of net is nan"),
    ({"net": 0, "new": 0}, "leaves nothing to train")])
def test_what_makes_no_sense_is_refused(rates, message):
    with pytest.raises(InputError, match=message):
        steps(options(rate_multipliers=rates))


def test_a_factor_of_0_keeps_batch_norm_still_too():
    model = dict(dataclasses.asdict(ModelConfig()), network="small_cnn", depth_multiplier=0.125, image_size=12)
    rates = {"small_cnn/conv_2_1": 0, "logits": 2}
    images = np.random.RandomState(0).randint(0, 256, (4, 12, 12, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        built = towers.build_towers(
            tf.constant(images), {"label": tf.constant([0, 0, 1, 1])}, ["/cpu:0"], model,
            [{"name": "softmax", "label": "label"}], {"label": 2}, "tower", frozen=frozen_variables(model, rates))
        update = build_update(built.gradients, built.update_ops, options(rate_multipliers=rates))
        variables = [v for v in tf.global_variables() if v.op.name.startswith("small_cnn") and
                     "Momentum" not in v.op.name]
        session.run(tf.global_variables_initializer())
        before = session.run(variables)
        session.run(update.train)
        after = session.run(variables)
    still = {v.op.name for v, old, new in zip(variables, before, after) if np.array_equal(old, new)}
    assert len(still) == 5 and all(name.startswith("small_cnn/conv_2_1/") for name in still)
