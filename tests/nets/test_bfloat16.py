import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.bfloat16 import to_bfloat16
from slim_retrieval.nets.frozen import Frozen

needs_kernels = pytest.mark.skipif(tf.__version__.startswith("1."), reason="TensorFlow 1.15 has no bfloat16 for CPUs")
RANDOM = np.random.RandomState(0)
WHOLE = RANDOM.randint(-1, 2, (4, 3, 3, 2, 2)).astype(np.float32)
IMAGES = RANDOM.randint(0, 3, (2, 8, 8, 2)).astype(np.float32)


def network(weights):
    """Return Frozen of four 3 x 3 convolutions with a branch, pooling, and two outputs."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 8, 8, 2], "images")
        net = images
        for i in range(3):
            net = tf.nn.conv2d(net, tf.constant(weights[i]), 1, "SAME", name="conv_{}".format(i))
            net = tf.nn.relu6(tf.nn.bias_add(net, tf.constant([1.0, -1.0]), name="bias_{}".format(i)))
        net = tf.nn.max_pool2d(net, 2, 2, "VALID", name="pool")
        net = tf.add(net, tf.nn.conv2d(net, tf.constant(weights[3]), 1, "SAME", name="conv_3"), name="sum")
        tf.reduce_mean(net, [1, 2], name="mean")
        tf.identity(tf.nn.relu(net, name="relu"), name="map")
        return Frozen(graph.as_graph_def(), images.name, ["mean:0", "map:0"], 0, 0)


def run(frozen, images=IMAGES):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.import_graph_def(frozen.graph_def, {frozen.images: images}, frozen.outputs))


def test_which_nodes_compute_in_what():
    changed = to_bfloat16(network(WHOLE)).graph_def
    types = {node.name: tf.as_dtype(node.attr["T"].type).name for node in changed.node if "T" in node.attr}
    assert {name for name, kind in types.items() if kind == "bfloat16"} == {
        "conv_1", "bias_1", "Relu6_1", "conv_2", "bias_2", "Relu6_2", "pool", "conv_3", "sum", "relu"}
    # In: the first layer's map and the weights and biases of three convolutions; out: the sum, and the map itself.
    casts = [(node.input[0], tf.as_dtype(node.attr["DstT"].type).name) for node in changed.node if node.op == "Cast"]
    assert len(casts) == len(set(casts)) == 1 + 3 + 2 + 2
    assert [name for name, kind in casts if kind == "float32"] == ["sum", "relu"]


@needs_kernels
def test_whole_numbers_up_to_256_come_out_exactly():
    frozen = network(WHOLE)
    for found, expected in zip(run(to_bfloat16(frozen)), run(frozen)):
        assert np.abs(expected).max() <= 256 and np.abs(expected).max() > 5
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@needs_kernels
def test_other_numbers_lose_a_few_bits():
    frozen = network(RANDOM.standard_normal(WHOLE.shape).astype(np.float32) / 3)
    images = RANDOM.rand(*IMAGES.shape).astype(np.float32)
    found, expected = run(to_bfloat16(frozen), images)[1], run(frozen, images)[1]
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 0.03  # 8 bits: 0.002 of each number, through four layers
