"""New layers on a tensor of the network: what they compute, how they start, what they are called."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import LayerConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.extraction import list_end_points
from slim_retrieval.nets.layers import INITIALIZERS, initializer
from slim_retrieval.nets.model import build_model

SMALL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "end_point": "stage_2"}
IMAGES = np.random.RandomState(0).randint(0, 256, (2, 12, 12, 3)).astype(np.float32)


def layer(**fields):
    return dataclasses.asdict(LayerConfig(**fields))


def test_they_stand_between_the_end_point_and_the_embedding(options, layers, load_random):
    new = [layer(filters=5), layer(type="max_pool", kernel=2, stride=2), layer(
        name="last", filters=4, kernel=1, activation="none", batch_norm=True)]
    with tf.Graph().as_default(), tf.Session() as session:
        model = build_model(tf.constant(IMAGES), options(layers=new, embedding_size=3, **SMALL))
        values = load_random(session)
        below, raw, last = session.run([
            model.end_points["stage_2"], model.raw, model.end_points["finetune_layers/last"]])
    scope = "finetune_layers/"
    x = np.maximum(layers.conv(below, values[scope + "conv_1/weights"]) + values[scope + "conv_1/biases"], 0)
    x = layers.conv(layers.max_pool(x), values[scope + "last/weights"])
    x = layers.batch_norm(x, values, scope + "last")
    np.testing.assert_allclose(last, x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        raw, x.mean(axis=(1, 2)).dot(values["embedding/weights"]) + values["embedding/biases"], rtol=1e-4, atol=1e-4)


def test_each_is_an_end_point(options):
    rows = list_end_points(options(layers=[layer(filters=5, stride=2), layer(name="b", padding="valid", filters=2)],
                                   layers_scope="mine", **SMALL))
    assert [row[:2] for row in rows if row[0].startswith("mine")] == [("mine/conv_1", [3, 3, 5]), ("mine/b", [1, 1, 2])]


def test_the_owners_example(options):
    """MobileNetV2 1.4 at 224: (N, 7, 7, 224) at expanded_conv_14/output, a 3 x 3 convolution of 256 on it."""
    rows = {row[0]: row for row in list_end_points(options(
        network="mobilenet_v2", depth_multiplier=1.4, end_point="MobilenetV2/expanded_conv_14/output:0",
        layers=[layer(filters=256, kernel=3)]))}
    assert rows["layer_16/output"][1] == [7, 7, 224]
    assert rows["layer_16/output"][3] == "MobilenetV2/expanded_conv_14/output:0"
    assert rows["finetune_layers/conv_1"][1] == [7, 7, 256] and rows["embedding"][1] == [256]


def test_initializers_have_the_spread_of_their_papers():
    fan_in, fan_out = 3 * 3 * 16, 3 * 3 * 64
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        for name in INITIALIZERS:
            tf.get_variable(name, [3, 3, 16, 64], initializer=initializer(name, 0.02))
        session.run(tf.global_variables_initializer())
        found = {v.op.name: session.run(v) for v in tf.global_variables()}
    edge = np.sqrt(6.0 / (fan_in + fan_out))
    assert 0.95 * edge < np.abs(found["xavier"]).max() <= edge
    np.testing.assert_allclose(found["xavier"].std(), edge / np.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(found["he"].std(), np.sqrt(2.0 / fan_in), rtol=0.05)
    np.testing.assert_allclose(found["normal"].std(), 0.02, rtol=0.05)
    # Cut off at two deviations, a normal distribution has .880 of its spread.
    np.testing.assert_allclose(found["truncated_normal"].std(), 0.02 * 0.880, rtol=0.05)
    assert np.abs(found["truncated_normal"]).max() <= 0.04 < np.abs(found["normal"]).max()
    assert not found["zeros"].any()


def test_a_layers_own_initializer_goes_before_the_models(options):
    new = [layer(name="own", initializer="normal", stddev=3.0), layer(name="models")]
    with tf.Graph().as_default(), tf.Session() as session:
        build_model(tf.constant(IMAGES), options(layers=new, embedding_size=3, initializer="zeros", **SMALL))
        session.run(tf.global_variables_initializer())
        found = {v.op.name: session.run(v) for v in tf.global_variables()}
    np.testing.assert_allclose(found["finetune_layers/own/weights"].std(), 3.0, rtol=0.1)
    assert not found["finetune_layers/models/weights"].any() and not found["embedding/weights"].any()


@pytest.mark.parametrize("changes, message", [
    ({"layers": [layer(name="a"), layer(name="a")]}, "two layers are called 'a'"),
    ({"layers": [layer(name="a b")]}, "a layer cannot be called 'a b'"),
    ({"layers": [layer(kernel=7, padding="valid")]}, r"conv_1 does not fit on a map of shape \(.*, 6, 6, 6\)"),
    ({"layers": [layer(stride=2, dilation=2)]}, "conv_1 does not fit"),
    ({"layers": [layer()], "end_point": "embedding"}, "unknown end point embedding"),
    ({"layers": [layer()], "layers_scope": "small_cnn"}, "model.layers_scope: 'small_cnn' cannot be the scope"),
    ({"layers": [layer()], "layers_scope": ""}, "model.layers_scope: '' cannot be the scope"),
    ({"layers": [layer()], "initializer": "xaver"}, r"unknown initializer 'xaver' \(did you mean xavier\?\)"),
    ({"embedding_size": 2, "initializer": "msra"}, "unknown initializer 'msra'")])
def test_what_does_not_fit_is_refused(options, changes, message):
    with tf.Graph().as_default(), pytest.raises(InputError, match=message):
        build_model(tf.placeholder(tf.float32, [None, 12, 12, 3]), options(**dict(SMALL, **changes)))
