"""Mixed precision: gradients near float32's, variables in float32, and a loss scale that survives overflow."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.training import precision, towers
from slim_retrieval.training.devices import open_session
from slim_retrieval.training.update import build_update

MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "end_point": "", "pooling": "average",
         "embedding_size": 6}
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 12, 12, 3)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0], np.int32)
TYPES = ["float16"] + (["bfloat16"] if tf.__version__.startswith("2.") else [])


def training(**changes):
    return dict(dataclasses.asdict(TrainingConfig()), **changes)


def gradients(kind, values=None, **changes):
    """Return ({variable: gradient}, values of the variables, types of the convolutions)."""
    devices = ["/cpu:0", "/cpu:1"]
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        state = precision.loss_scale(training(precision=kind))
        built = towers.build_towers(
            tf.constant(IMAGES), {"label": tf.constant(LABELS)}, devices, MODEL,
            [{"name": "softmax", "label": "label"}], {"label": 3}, "tower",
            precision=kind, scale=state and state.scale, **changes)
        assert all(v.dtype.base_dtype != precision.TYPES[kind] or kind == "float32" for v in tf.global_variables())
        convolutions = {op.outputs[0].dtype for op in graph.get_operations() if op.type == "Conv2D"}
        with open_session(devices) as session:
            session.run(tf.global_variables_initializer())
            for variable in tf.trainable_variables():
                if values is not None:
                    variable.load(values[variable.op.name], session)
            kept = dict(zip([v.op.name for v in tf.trainable_variables()], session.run(tf.trainable_variables())))
            found = session.run([g for g, _ in built.gradients])
            return dict(zip([v.op.name for _, v in built.gradients], found)), kept, convolutions


@pytest.fixture(scope="module")
def exact():
    return {batch_norm: gradients("float32", batch_norm=batch_norm) for batch_norm in ("tower", "sync")}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("batch_norm", ["tower", "sync"])
def test_gradients_are_near_those_of_float32(exact, kind, batch_norm):
    expected, values, _ = exact[batch_norm]
    found, _, convolutions = gradients(kind, values=values, batch_norm=batch_norm)
    assert convolutions == {precision.TYPES[kind]} and set(found) == set(expected)
    assert all(g.dtype == np.float32 for g in found.values())
    one, other = (np.concatenate([g[name].ravel() for name in sorted(expected)]) for g in (found, expected))
    error = np.linalg.norm(one - other) / np.linalg.norm(other)
    assert 1e-4 < error < {"float16": 0.05, "bfloat16": 0.2}[kind]  # below: it would be float32 that ran


def test_bfloat16_needs_tensorflow_2():
    if tf.__version__.startswith("1."):
        with pytest.raises(InputError, match="bfloat16, which TensorFlow 1.15.* cannot convolve in; take float16"):
            precision.layer_type("bfloat16")
    else:
        assert precision.layer_type("bfloat16") is tf.bfloat16


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_step_that_overflows_is_skipped_and_the_scale_follows(optimizer):
    """Scale 8, doubled after 2 good steps, halved after a bad one: worked out by hand."""
    options = training(precision="float16", loss_scale=8.0, loss_scale_steps=2, optimizer=optimizer, weight_decay=0.0,
                       schedule=dict(training()["schedule"], learning_rate=0.1))
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", [], initializer=tf.constant_initializer(3.0))
        factor, state = tf.placeholder(tf.float32, []), precision.loss_scale(options)
        found = towers.gradients_of(weight * factor, [weight], state.scale)
        update = build_update(found, [], options, scale=state)
        session.run(tf.global_variables_initializer())
        everything = [v for v in tf.global_variables() if not v.op.name.startswith(("loss_scale", "global_step"))]
        assert len(everything) > 1  # the optimizer's own as well
        scales, steps, moved = [], [], []
        for value in (1.0, np.inf, 1.0, 1.0, np.nan, 1.0, 1.0, 1.0):
            before = session.run(everything)
            assert np.isfinite(value) == np.isfinite(session.run(found[0][0], {factor: value}))
            session.run(update.train, {factor: value})
            moved.append(before != session.run(everything))
            scales.append(session.run(state.scale))
            steps.append(session.run(tf.train.get_global_step()))
        assert moved == [True, False, True, True, False, True, True, True]
        assert scales == [8, 4, 4, 8, 4, 4, 8, 8] and steps == list(range(1, 9))
        assert np.isfinite(session.run(everything)).all()


def test_small_gradients_survive_only_with_a_scale():
    """1e-9 is 0 in float16; times 2^15 it is not."""
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", [], initializer=tf.ones_initializer())
        loss = tf.cast(tf.cast(weight, tf.float16) * tf.constant(1.0, tf.float16), tf.float32) * 1e-9
        session.run(tf.global_variables_initializer())
        plain, scaled = (session.run(towers.gradients_of(loss, [weight], scale)[0][0]) for scale in (
            None, tf.constant(2.0 ** 15)))
    assert plain == 0 and scaled == pytest.approx(1e-9, rel=1e-2)
