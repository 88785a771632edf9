import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.mobilenet_v2 import divisible, mobilenet_v2

# Table 2 of the paper, one row a block: (expansion, channels, stride).
BLOCKS = ([(1, 16, 1)] + [(6, 24, 2), (6, 24, 1)] + [(6, 32, 2)] + 2 * [(6, 32, 1)] + [(6, 64, 2)] + 3 * [(6, 64, 1)]
          + 3 * [(6, 96, 1)] + [(6, 160, 2)] + 2 * [(6, 160, 1)] + [(6, 320, 1)])
# Channels of the first convolution, of the seven groups of blocks and of the last convolution, in the public models.
WIDTHS = {
    0.35: [16, 8, 8, 16, 24, 32, 56, 112, 1280],
    0.5: [16, 8, 16, 16, 32, 48, 80, 160, 1280],
    0.75: [24, 16, 24, 24, 48, 72, 120, 240, 1280],
    1.0: [32, 16, 24, 32, 64, 96, 160, 320, 1280],
    1.3: [40, 24, 32, 40, 80, 128, 208, 416, 1664],
    1.4: [48, 24, 32, 48, 88, 136, 224, 448, 1792],
}
TOWERS = [(64, True), (224, False), (33, False), (224, True)]


@pytest.fixture(scope="module")
def towers():
    """Return (graph, [(feature map, end_points)] of each tower), all in one graph."""
    with tf.Graph().as_default() as graph:
        built = []
        for number, (size, training) in enumerate(TOWERS):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True if number else None), \
                    tf.name_scope("tower_{}".format(number)):
                built.append(mobilenet_v2(tf.placeholder(tf.float32, [None, size, size, 3]), training))
    return graph, built


@pytest.fixture(scope="module")
def wide():
    """Return (graph, feature map, end_points) of width 1.4 at 224 pixels."""
    with tf.Graph().as_default() as graph:
        return (graph,) + mobilenet_v2(tf.placeholder(tf.float32, [None, 224, 224, 3]), False, 1.4)


def shapes(graph):
    with graph.as_default():
        variables = tf.global_variables()
    assert len(variables) == len({v.op.name for v in variables})
    return {v.op.name: v.shape.as_list() for v in variables}


def test_variables_are_those_of_the_public_checkpoint(towers, golden):
    # The lists have no MobilenetV2/Logits; our network ends before the classifier too.
    found = shapes(towers[0])
    assert len(found) == 260 and found == golden("mobilenet_v2_1.0")


def test_variables_of_width_1_4(wide, golden):
    assert shapes(wide[0]) == golden("mobilenet_v2_1.4")


def test_tensor_name_of_the_public_graph(wide):
    graph, _, end_points = wide
    tensor = graph.get_tensor_by_name("MobilenetV2/expanded_conv_14/output:0")
    assert tensor.shape.as_list() == [None, 7, 7, 224]
    assert end_points["layer_16/output"] is tensor


def test_end_points(wide):
    expected = {"layer_{}".format(i) for i in range(1, 20)}
    expected |= {"layer_{}/{}_output".format(i, part) for i in range(3, 19) for part in ("expansion", "depthwise")}
    expected |= {"layer_{}/output".format(i) for i in range(2, 19)} | {"layer_2/depthwise_output"}
    assert set(wide[2]) == expected
    assert wide[2]["layer_19"] is wide[1]


def test_end_points_have_no_tower_in_their_keys(towers):
    for number, (_, end_points) in enumerate(towers[1]):
        assert all(key.startswith("layer_") for key in end_points)
        assert all(t.name.startswith("tower_{}/MobilenetV2/".format(number)) for t in end_points.values())
    assert [net.shape.as_list() for net, _ in towers[1]] == [
        [None, 2, 2, 1280], [None, 7, 7, 1280], [None, 2, 2, 1280], [None, 7, 7, 1280]]


def test_update_ops_only_in_training(towers):
    # 52 batch norms: two convolutions, 17 depthwise, 17 projections, 16 expansions.
    with towers[0].as_default():
        counts = [len(tf.get_collection(tf.GraphKeys.UPDATE_OPS, "tower_{}/".format(i))) for i in range(len(TOWERS))]
        assert counts == [104, 0, 0, 104]
        assert tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) == []


@pytest.mark.parametrize("factor", sorted(WIDTHS))
def test_widths_are_divisible_by_eight_and_never_under_ninety_percent(factor):
    full = np.array([32, 16, 24, 32, 64, 96, 160, 320, 1280])
    wanted = full * np.array([factor] * 8 + [max(factor, 1.0)])
    found = np.array([divisible(channels) for channels in wanted])
    assert found.tolist() == WIDTHS[factor]
    assert (found % 8 == 0).all() and (found >= 0.9 * wanted).all()


@pytest.mark.parametrize("channels, expected", [(1, 8), (11, 16), (12, 16), (20, 24), (19.9, 24), (59, 56), (60, 64)])
def test_divisible(channels, expected):
    # 11 rounds to 8, which is under 90 % of it; 19.9 rounds to 16, likewise; 59 to 56, which is 95 %.
    assert divisible(channels) == expected


def relu6(x):
    return np.clip(x, 0, 6)


def forward(layers, values, x, widths):
    """Return {end point: array} of the whole network in NumPy."""
    def conv(x, scope, stride=1):
        scope = "MobilenetV2/" + scope
        kind = "depthwise_weights" if scope.endswith("depthwise") else "weights"
        function = layers.depthwise if scope.endswith("depthwise") else layers.conv
        return layers.batch_norm(function(x, values["{}/{}".format(scope, kind)], stride), values, scope)

    found = {"layer_1": relu6(conv(x, "Conv", 2))}
    net = found["layer_1"]
    for index, (expansion, _, stride) in enumerate(BLOCKS):
        scope = "expanded_conv" + ("_{}".format(index) if index else "")
        inputs = net
        if expansion > 1:
            net = relu6(conv(net, scope + "/expand"))
            assert net.shape[3] == 6 * inputs.shape[3]
        net = relu6(conv(net, scope + "/depthwise", stride))
        net = conv(net, scope + "/project")
        if stride == 1 and net.shape == inputs.shape:
            net = net + inputs
        found["layer_{}".format(index + 2)] = net
    found["layer_19"] = relu6(conv(net, "Conv_1"))
    return found


@pytest.mark.parametrize("factor, size", [(0.35, (33, 40)), (0.75, (32, 47))])
def test_forward_equals_numpy(layers, load_random, factor, size):
    # Sides that are odd or even at each stride of 2, where SAME padding differs.
    x = np.random.RandomState(2).uniform(-1, 1, (2,) + size + (3,)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None] + list(x.shape[1:]))
        _, end_points = mobilenet_v2(images, False, factor)
        values = load_random(session)
        found = session.run(end_points, {images: x})
    expected = forward(layers, values, x, WIDTHS[factor])
    group = [found["layer_{}".format(i)].shape[3] for i in (1, 2, 3, 5, 8, 12, 15, 18, 19)]
    assert group == WIDTHS[factor]
    for name, array in expected.items():
        # float32 over 50 layers: within 1e-4 of the layer's largest value.
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-4 * np.abs(array).max(), err_msg=name)
    # The clip at 6 and the linear bottleneck are both exercised.
    assert found["layer_3/expansion_output"].max() == 6 and found["layer_3"].min() < 0
