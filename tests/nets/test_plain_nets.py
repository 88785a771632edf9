"""VGG, AlexNet and OverFeat against tf_slim's own functions: the same variables, the same values."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.plain_nets import MAPS, plain_net

MODULES = {"vgg_a": "vgg", "vgg_16": "vgg", "vgg_19": "vgg", "alexnet_v2": "alexnet", "overfeat": "overfeat"}


def of_slim(name, images, num_classes=3):
    module = getattr(slim.nets, MODULES[name])
    arg_scope = getattr(module, {"vgg": "vgg_arg_scope"}.get(MODULES[name], name + "_arg_scope"))
    with slim.arg_scope(arg_scope()):
        return getattr(module, name)(images, num_classes=num_classes, is_training=False,
                                     spatial_squeeze=False)


@pytest.mark.parametrize("name", sorted(MAPS))
def test_variables_and_end_points_are_those_of_slim(name):
    found = []
    for build in (lambda images: plain_net(name, images, False), lambda images: of_slim(name, images)):
        with tf.Graph().as_default():
            _, end_points = build(tf.placeholder(tf.float32, [None, 231, 231, 3]))
            found.append(({v.op.name: v.shape.as_list() for v in tf.global_variables()
                           if "/fc8/" not in v.op.name},
                          {key: t.shape.as_list() for key, t in end_points.items() if not key.endswith("fc8")}))
    assert found[0] == found[1]


def test_values_are_those_of_slim(load_random):
    images = np.random.RandomState(0).uniform(-100, 100, (1, 224, 224, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        _, expected = of_slim("alexnet_v2", tf.constant(images))
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            _, found = plain_net("alexnet_v2", tf.constant(images), False)
        load_random(session)
        expected, found = session.run([expected, found])
    assert len(found) == 10 and 0.05 < np.mean(found["alexnet_v2/fc7"] > 0) < 0.95
    for key in found:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5 * np.abs(expected[key]).max())


def test_where_the_map_is_too_small_there_are_no_dense_layers():
    with tf.Graph().as_default():
        _, end_points = plain_net("vgg_16", tf.zeros([1, 223, 223, 3]), False)
        assert "vgg_16/pool5" in end_points and "vgg_16/fc6" not in end_points
        # Another scale of the same network asks for no variables that the first did not have.
        with tf.variable_scope(tf.get_variable_scope(), reuse=True), tf.name_scope("larger"):
            _, end_points = plain_net("vgg_16", tf.zeros([1, 256, 256, 3]), False)
        assert "vgg_16/fc6" not in end_points and len(tf.global_variables()) == 26
