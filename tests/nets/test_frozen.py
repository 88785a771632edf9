import logging

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets import mobilenet_v2
from slim_retrieval.nets.frozen import connect, freeze
from slim_retrieval.nets.model import build_model

BATCH_NORM = {"is_training": False, "scale": True, "fused": True}


def operations(frozen):
    return [node.op for node in frozen.graph_def.node]


def assert_close(found, expected):
    for one, other in zip(found, expected):
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


def small_cnn(images, options):
    model = build_model(images, options(network="small_cnn", depth_multiplier=0.125, embedding_size=4))
    return [model.embedding, model.end_points["stage_2"]]


def mobilenet(images, options):
    model = build_model(images, options(network="mobilenet_v2", depth_multiplier=0.35, end_point="layer_4"))
    return [model.embedding, model.end_points["layer_3/expansion_output"]]


def inception(images, options):
    with slim.arg_scope(slim.nets.inception.inception_v1_arg_scope()), \
            slim.arg_scope([slim.batch_norm], is_training=False):
        return [slim.nets.inception.inception_v1_base(images, final_endpoint="Mixed_3b")[0]]


def resnet(module, block):
    """Return the function that builds slim's ResNet of one block of two units, the second of stride 2."""
    def build(images, options):
        with slim.arg_scope(module.resnet_arg_scope()):
            build = getattr(module, module.__name__.split(".")[-1])
            return [build(images, [block("block1", 4, 2, 2)], is_training=False, global_pool=False)[0]]
    return build


# (name, build, batch norms folded, left). ResNet v2's `preact` in each unit and `postnorm` follow no convolution.
NETWORKS = [("small_cnn", small_cnn, 5, 0), ("mobilenet_v2", mobilenet, 1 + 2 + 3 + 3, 0),
            ("inception_v1", inception, 9, 0),
            ("resnet_v1", resnet(slim.nets.resnet_v1, slim.nets.resnet_v1.resnet_v1_block), 8, 0),
            ("resnet_v2", resnet(slim.nets.resnet_v2, slim.nets.resnet_v2.resnet_v2_block), 4, 3)]


@pytest.mark.parametrize("build, folded, left", [row[1:] for row in NETWORKS], ids=[row[0] for row in NETWORKS])
def test_equals_the_session(build, folded, left, options, load_random, monkeypatch, caplog):
    monkeypatch.setattr(mobilenet_v2, "BLOCKS", mobilenet_v2.BLOCKS[:2])
    with caplog.at_level(logging.INFO):
        frozen, found, expected = build_and_freeze(lambda images: build(images, options), load_random, (2, 32, 32, 3))
    assert_close(found, expected)
    assert (frozen.folded, frozen.left) == (folded, left)
    assert operations(frozen).count("FusedBatchNormV3") == left
    assert not {"VariableV2", "VarHandleOp", "Assign", "SaveV2", "RestoreV2"} & set(operations(frozen))
    assert "{} batch norms folded".format(folded) in caplog.text
    assert ("{} that follow no convolution left".format(left) in caplog.text) == bool(left)


def build_and_freeze(build, load_random, shape):
    """Return (frozen, its outputs, the session's) of `build(images)`'s tensors on random values of a shape."""
    values = np.random.RandomState(1).randn(*shape).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, (None,) + shape[1:], "images")
        tensors = build(images)
        load_random(session)
        frozen, expected = freeze(session, images, tensors), session.run(tensors, {images: values})
    with tf.Graph().as_default(), tf.Session() as session:
        return frozen, session.run(connect(frozen, tf.constant(values))), expected


def test_depthwise_with_a_multiplier_and_vectors(load_random):
    def build(images):
        net = slim.separable_conv2d(images, None, 3, depth_multiplier=2, normalizer_fn=slim.batch_norm,
                                    normalizer_params=BATCH_NORM)
        return [slim.fully_connected(slim.flatten(net), 4, normalizer_fn=slim.batch_norm,
                                     normalizer_params=BATCH_NORM)]
    frozen, found, expected = build_and_freeze(build, load_random, (3, 5, 5, 2))
    assert (frozen.folded, frozen.left) == (2, 0)
    assert_close(found, expected)


def test_a_convolution_that_is_used_elsewhere_keeps_its_weights(load_random):
    def build(images):
        plain = slim.conv2d(images, 4, 3, activation_fn=None, biases_initializer=None, scope="shared")
        normalised = slim.batch_norm(plain, scope="norm", **BATCH_NORM)
        wanted = slim.conv2d(images, 4, 3, activation_fn=None, biases_initializer=None, scope="wanted")
        return [plain + normalised, wanted, slim.batch_norm(wanted, scope="norm_2", **BATCH_NORM)]
    frozen, found, expected = build_and_freeze(build, load_random, (2, 4, 4, 3))
    assert (frozen.folded, frozen.left) == (0, 2)
    assert_close(found, expected)


def test_two_views_share_the_folded_weights(load_random):
    def build(images):
        found = []
        for view in (images, tf.reverse(images, [2])):
            with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
                found.append(slim.conv2d(view, 4, 3, normalizer_fn=slim.batch_norm, normalizer_params=BATCH_NORM))
        return found
    frozen, found, expected = build_and_freeze(build, load_random, (2, 4, 4, 3))
    assert frozen.folded == 2
    assert sum(node.name.endswith("/folded_weights") for node in frozen.graph_def.node) == 1
    assert_close(found, expected)


def test_connect_puts_the_network_behind_other_tensors(load_random):
    def build(images):
        return [tf.identity(slim.conv2d(images, 4, 3, scope="net"), "output")]  # the Identity is what is wanted
    frozen, _, expected = build_and_freeze(build, load_random, (2, 4, 4, 3))
    values = np.random.RandomState(1).randn(2, 4, 4, 3).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        twice = tf.placeholder(tf.float32, [None, 4, 4, 3])
        towers = [connect(frozen, twice / 2.0, "tower_{}".format(i))[0] for i in range(2)]
        for features in session.run(towers, {twice: 2 * values}):
            assert_close([features], expected)
