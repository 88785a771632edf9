"""The train op: what happens to the gradient on its way, one step at a time."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.nets import stored_weights
from slim_retrieval.training.towers import build_towers
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


def run_updates(training, gradients, start=None):
    """Make steps with these gradients on a variable w; return its value and its average after each.

    Args:
      gradients: [steps, micro-batches, 2].
      start: value that w is given after initialisation, as a pretrained checkpoint would.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("net/weights", initializer=np.float32([1.0, -2.0]))
        given = tf.placeholder(tf.float32, [2])
        update = build_update([(given, w)], [], options(**training))
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        if start is not None:
            w.load(start, session)
        session.run(update.start)
        averages = {v.op.name: v for v in tf.global_variables()}.get("net/weights" + stored_weights.AVERAGE)
        found = []
        for micro_batches in gradients:
            for g in micro_batches[:-1]:
                session.run(update.add, {given: g})
            session.run(update.train, {given: micro_batches[-1]})
            found.append((session.run(w), session.run(averages) if averages is not None else None))
        assert session.run(tf.train.get_global_step()) == len(gradients)
        return found


GRADIENTS = np.random.RandomState(0).randn(5, 3, 2).astype(np.float32)


@pytest.mark.parametrize("debias", [False, True])
def test_averages_follow_the_weights_from_where_training_starts(debias):
    """Against a plain loop; the first value is the pretrained weight, not the initialiser's."""
    start = np.float32([5.0, 7.0])
    found = run_updates({"ema_decay": 0.9, "ema_debias": debias}, GRADIENTS[:, :1], start)
    w = average = start
    for t, (weights, averages) in enumerate(found, 1):
        w = w - 0.01 * GRADIENTS[t - 1, 0]
        decay = min(0.9, (1 + t) / (10 + t)) if debias else 0.9
        average = decay * average + (1 - decay) * w
        np.testing.assert_allclose(weights, w, rtol=1e-6)
        np.testing.assert_allclose(averages, average, rtol=1e-6)


def test_accumulated_gradients_are_their_mean_decayed_and_clipped_once():
    found = run_updates({"accumulate": 3, "weight_decay": 0.5, "clip_norm": 0.8}, GRADIENTS)
    w = np.array([1.0, -2.0])
    for micro_batches, (weights, _) in zip(GRADIENTS, found):
        gradient = micro_batches.mean(0) + 0.5 * w
        w = w - 0.01 * gradient * min(1.0, 0.8 / np.linalg.norm(gradient))
        np.testing.assert_allclose(weights, w, rtol=1e-5)


def test_micro_batches_are_one_large_batch_where_batch_norm_is_frozen():
    """A network and its loss, two halves of a batch against the whole."""
    images = np.random.RandomState(1).randint(0, 256, (8, 12, 12, 3)).astype(np.float32)
    labels = np.arange(8, dtype=np.int32)[::-1] // 2
    model = dict(dataclasses.asdict(ModelConfig()), network="small_cnn", depth_multiplier=0.125, image_size=12)

    def train(parts):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(3)
            size = 8 // parts
            here, there = tf.placeholder(tf.float32, [size, 12, 12, 3]), tf.placeholder(tf.int32, [size])
            towers = build_towers(here, {"label": there}, ["/cpu:0"], model, [{"name": "softmax", "label": "label"}],
                                  {"label": 4}, "tower", batch_norm="frozen")
            update = build_update(towers.gradients, towers.update_ops, options(
                {"learning_rate": 0.5}, accumulate=parts, weight_decay=0.1))
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            for _ in range(2):
                for i in range(parts):
                    session.run(update.train if i == parts - 1 else update.add,
                                {here: images[i::parts], there: labels[i::parts]})
            return session.run({v.op.name: v for v in tf.trainable_variables()})

    whole, halves = train(1), train(2)
    for name in whole:
        np.testing.assert_allclose(halves[name], whole[name], atol=1e-5, err_msg=name)


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
