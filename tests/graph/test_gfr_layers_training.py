"""GFR's layers as TensorFlow graphs compute what they compute in NumPy."""
import itertools

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_batches, gfr_layers, gfr_layers_training, knn
from slim_retrieval.graph.gfr import GFR

NAMES = ["layers", "aggregate", "weighted", "activate", "residue", "concate", "combine"]
COMBINATIONS = [dict(zip(["layer"] + NAMES, ("sage",) + values)) for values in itertools.product(
    [1, 2], ["max", "mean"], [False, True], [False, True], [False, True], [False, True], [False, True])
    if values[0] > 1 or not values[3]]  # `activate` acts between layers
COMBINATIONS += [dict(kind, layers=3, metric="none", **after) for kind in (
    {"layer": "gat", "heads": 5}, {"layer": "gat", "residue": True}, {"layer": "appnp", "restart": 0.3},
    {"layer": "gcnii"}) for after in ({}, {"jump": "concat"}, {"jump": "max"}, {"activate": True})]


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_tensorflow_and_numpy_compute_the_same_features():
    """All 96 combinations of the published options and the other kinds, with padded and empty neighbourhoods."""
    x = unit_rows(30, 5)
    near = knn.neighbors(x, 3)[0]
    near[::4, 2], near[7] = -1, -1
    anchors = np.array([7, 3, 20, 3, 12])
    models = [with_weights(GFR(neighbors=3, **fields), 5) for fields in COMBINATIONS]
    with tf.Graph().as_default(), tf.Session() as session:
        built = [tensor(x, near, anchors, model) for model in models]
        found = session.run(built)
    for fields, model, features in zip(COMBINATIONS, models, found):
        np.testing.assert_allclose(features, model.fit(x, neighbors=(near, None)).gallery_[anchors], atol=1e-5,
                                   err_msg=str(fields))


@pytest.mark.parametrize("kind", ["sage", "gat", "appnp", "gcnii"])
def test_pair_norm_is_the_same_where_a_step_sees_every_row(kind):
    """In training the mean is the step's, in inference the gallery's."""
    x = unit_rows(12, 5)
    near = knn.neighbors(x, 3)[0]
    model = with_weights(GFR(layer=kind, layers=2, neighbors=3, metric="none", pair_norm=True), 5)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(tensor(x, near, np.arange(12), model))
    np.testing.assert_allclose(found, model.fit(x, neighbors=(near, None)).gallery_, atol=1e-5)


def with_weights(model, width):
    """Give the model weights that are not the first ones."""
    model.width_, model.weights_ = width, gfr_layers.initial(width, model.options, seed=2)
    rng = np.random.RandomState(3)
    for layer in model.weights_:
        for value in layer.values():
            value += 0.1 * rng.normal(size=value.shape).astype(np.float32)
    return model


def tensor(x, near, anchors, model):
    ids, tables = gfr_batches.expand(anchors, near, model.options.layers, model.options.concate)
    tables = [tuple(tf.constant(t, tf.int32) for t in pair) for pair in tables]
    weights = [{name: tf.constant(value) for name, value in layer.items()} for layer in model.weights_]
    return gfr_layers_training.forward(tf.constant(x[ids]), tables, weights, model.options)


def test_zero_rows_have_zero_gradient():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant([[0., 0.], [3., 4.]])
        value, gradient = session.run([gfr_layers_training.normalise(x),
                                       tf.gradients(gfr_layers_training.normalise(x)[:, 0], x)[0]])
    np.testing.assert_allclose(value, [[0, 0], [.6, .8]], rtol=1e-6)
    # d(x0 / |x|) / dx = (1 / |x|) (1 - u0^2, -u0 u1)
    np.testing.assert_allclose(gradient, [[0, 0], [(1 - .36) / 5, -.48 / 5]], rtol=1e-5)
