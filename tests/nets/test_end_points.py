import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.end_points import describe, find_tensor
from slim_retrieval.nets.factory import build_network


def build(network, size=224, width=1.0):
    return build_network(tf.placeholder(tf.float32, [None, size, size, 3]), False,
                         {"network": network, "depth_multiplier": width})[1]


@pytest.fixture(scope="module")
def wide():
    """Return (graph, end points) of MobileNetV2 of width 1.4, at 224 pixels."""
    with tf.Graph().as_default() as graph:
        return graph, build("mobilenet_v2", 224, 1.4)


@pytest.mark.parametrize("name", [
    "layer_16/output", "layer_16", "MobilenetV2/expanded_conv_14/output:0", "MobilenetV2/expanded_conv_14/output",
    "expanded_conv_14/output", "expanded_conv_14/output:0", "MobilenetV2/layer_16/output"])
def test_every_spelling_gives_the_same_tensor(wide, name):
    graph, end_points = wide
    with graph.as_default():
        tensor = find_tensor(end_points, name)
        assert tensor is end_points["layer_16/output"] is graph.get_tensor_by_name(
            "MobilenetV2/expanded_conv_14/output:0")
        assert tensor.shape.as_list() == [None, 7, 7, 224]


def test_a_tensor_that_is_no_end_point(wide):
    graph, end_points = wide
    with graph.as_default():
        tensor = find_tensor(end_points, "MobilenetV2/expanded_conv_14/project/BatchNorm/FusedBatchNormV3:0")
    assert tensor.name not in {end_point.name for end_point in end_points.values()}
    assert tensor.shape.as_list() == [None, 7, 7, 224]


@pytest.mark.parametrize("name, message", [
    ("layer_16/outputs", "unknown end point layer_16/outputs (did you mean layer_16/output?); known: layer_1, "),
    ("nonsense/layer_16", "unknown end point nonsense/layer_16"),
    ("output", "end point output may be layer_10/output or layer_11/output; give more of its name"),
    ("", "unknown end point ;"), (":0", "unknown end point :0"), ("a:b:c", "unknown end point a:b:c"),
])
def test_names_that_are_none(wide, name, message):
    graph, end_points = wide
    with graph.as_default(), pytest.raises(InputError) as error:
        find_tensor(end_points, name)
    assert str(error.value).startswith(message)


def test_scopes_may_be_left_out_or_added():
    with tf.Graph().as_default():
        end_points = build("resnet_v1_50", 64)
        block = end_points["resnet_v1_50/block4"]
        assert find_tensor(end_points, "block4") is block
        # In slim's graph a block's output is its last unit's, after ReLU.
        assert find_tensor(end_points, "block4/unit_3/bottleneck_v1") is block
        # The network's first layer, not that of a unit.
        assert find_tensor(end_points, "conv1") is end_points["resnet_v1_50/conv1"]
    with tf.Graph().as_default():
        end_points = build("inception_v1", 64)
        for name in ("Mixed_5c", "InceptionV1/Mixed_5c", "InceptionV1/InceptionV1/Mixed_5c/concat:0"):
            assert find_tensor(end_points, name) is end_points["Mixed_5c"]


def test_in_a_tower_names_mean_its_own_tensors():
    with tf.Graph().as_default():
        towers = []
        for number in range(2):
            with tf.variable_scope(tf.get_variable_scope(), reuse=bool(number)), \
                    tf.name_scope("tower_{}".format(number)):
                end_points = build("small_cnn", 12, 0.125)
                towers.append([find_tensor(end_points, name) for name in (
                    "stage_2", "small_cnn/conv_2_2/Relu:0", "small_cnn/conv_2_1/Relu:0")])
        for number, (stage, same, inner) in enumerate(towers):
            assert same is stage
            # No end point: found in the graph, within the tower.
            assert inner.name == "tower_{}/small_cnn/conv_2_1/Relu:0".format(number)


def test_description(wide):
    graph, end_points = wide
    with graph.as_default():
        rows = describe(end_points)
    assert len(rows) == len(end_points) and rows[0][0] == "layer_1" and rows[-1][0] == "layer_19"
    assert ("layer_16/output", [7, 7, 224], 7 * 7 * 224, "MobilenetV2/expanded_conv_14/output:0") in rows
