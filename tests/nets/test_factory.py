import ast
import glob
import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import factory
from slim_retrieval.nets.factory import NETWORKS, build_network, get_layout, get_network
from slim_retrieval.nets.preprocessing import PREPROCESSING

# Convolutions with batch norm, each with 5 variables (no gamma: 4); what has none is counted by hand.
BOTTLENECKS = {"50": 16, "101": 33, "152": 50}
VARIABLES = {
    "mobilenet_v2": 52 * 5, "small_cnn": 5 * 5, "alexnet_v2": 7 * 2, "overfeat": 7 * 2,
    "vgg_a": 10 * 2, "vgg_16": 15 * 2, "vgg_19": 18 * 2,
    "inception_v1": 57 * 4, "inception_v3": 94 * 4,
    # The first convolution is a separable one: two filters.
    "inception_v2": 68 * 4 + 2 + 3 - 2,
}
for _depth, _units in BOTTLENECKS.items():
    VARIABLES["resnet_v1_" + _depth] = (1 + 3 * _units + 4) * 5
    # conv1, shortcuts and each last convolution have a bias and no batch norm; preact and postnorm are four alone.
    VARIABLES["resnet_v2_" + _depth] = 2 + 4 * 2 + _units * (4 + 5 + 5 + 2) + 4
# (side of the last map at the network's own size, at the smaller one of 80; channels)
MAPS = {"small_cnn": (8, 20, 128), "alexnet_v2": (5, 1, 256), "overfeat": (6, 1, 1024), "inception_v3": (8, 1, 2048),
        "mobilenet_v2": (7, 3, 1280), "inception_v1": (7, 3, 1024), "inception_v2": (7, 3, 1024)}
MAPS.update(dict.fromkeys(("vgg_a", "vgg_16", "vgg_19"), (7, 2, 512)))
MAPS.update({"resnet_v1_" + depth: (7, 3, 2048) for depth in BOTTLENECKS})
MAPS.update({"resnet_v2_" + depth: (10, 3, 2048) for depth in BOTTLENECKS})
# Batch norms that keep an average and a variance.
NORMS = dict({name: VARIABLES[name] // 5 for name in ("mobilenet_v2", "small_cnn")}, inception_v1=57, inception_v2=68,
             inception_v3=94, **{"resnet_v1_" + d: 3 * u + 5 for d, u in BOTTLENECKS.items()})
NORMS.update({"resnet_v2_" + d: 3 * u + 1 for d, u in BOTTLENECKS.items()})


def test_no_network_is_untested():
    assert set(MAPS) == set(VARIABLES) == set(NETWORKS)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] if name[-3:] in ("101", "152") else [])
                                  for name in sorted(NETWORKS)])
def test_builds_for_inference_and_for_training_at_two_sizes(name):
    options = {"network": name, "depth_multiplier": 1.0}
    with tf.Graph().as_default():
        for number, (size, training) in enumerate([(NETWORKS[name].image_size, False), (80, True)]):
            with tf.variable_scope(tf.get_variable_scope(), reuse=bool(number)), \
                    tf.name_scope("tower_{}".format(number)):
                net, end_points = build_network(tf.placeholder(tf.float32, [None, size, size, 3]), training, options)
            side, channels = MAPS[name][number], MAPS[name][2]
            assert net.shape.as_list() == [None, side, side, channels]
            assert net.name in {tensor.name for tensor in end_points.values()}
            assert {tensor.name.split("/")[0] for tensor in end_points.values()} == {"tower_{}".format(number)}
            assert not any("tower" in key for key in end_points)
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS, "tower_{}/".format(number))
            assert len(updates) == (2 * NORMS.get(name, 0) if training else 0)
        variables = tf.global_variables()
        assert len(variables) == len({v.op.name for v in variables}) == VARIABLES[name]
        assert {v.op.name.split("/")[0] for v in variables} == {NETWORKS[name].scope}
        # Weight decay is the training loop's: slim's own would sit in the first tower alone.
        assert tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) == []


def test_unknown_network_names_the_nearest():
    with pytest.raises(InputError) as error:
        get_network("resnet_v1_51")
    assert str(error.value).startswith("unknown network 'resnet_v1_51' (did you mean resnet_v1_50?); known: alexnet_v2")


def build(size=80, **changes):
    with tf.Graph().as_default():
        build_network(tf.zeros([1, size, size, 3]), False, dict({"depth_multiplier": 1.0}, **changes))


@pytest.mark.parametrize("size, changes, message", [
    (80, {"network": "resnet_v1_50", "depth_multiplier": 0.5},
     "model.depth_multiplier is 0.5, but resnet_v1_50 has one width; set it to 1"),
    (74, {"network": "inception_v3"},
     "model.image_size is 74, but inception_v3 needs at least 75 pixels; set that or more"),
    (80, {"network": "vgg_16", "layout": "torchvison"}, "unknown model.layout of vgg_16 'torchvison'; known: slim"),
    (80, {"network": "mobilenet_v2", "layout": "torchvison"},
     "unknown model.layout of mobilenet_v2 'torchvison' (did you mean torchvision?); known: keras, slim, torchvision"),
])
def test_what_a_network_does_not_have(size, changes, message):
    with pytest.raises(InputError) as error:
        build(size, **changes)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["vgg_16", "alexnet_v2", "overfeat", "inception_v3", "small_cnn"])
def test_the_smallest_size_builds_and_one_pixel_less_does_not(name):
    build(NETWORKS[name].minimum_size, network=name)
    with pytest.raises(InputError, match="needs at least"):
        build(NETWORKS[name].minimum_size - 1, network=name)
    # The limit is no stricter than need be: the layers themselves refuse, or leave nothing of the map.
    with tf.Graph().as_default():
        try:
            net, _ = NETWORKS[name].build(tf.zeros([1] + 2 * [NETWORKS[name].minimum_size - 1] + [3]), False)
        except ValueError:
            return
        assert 0 in net.shape.as_list()


def test_every_preprocessing_exists():
    assert {layout.preprocessing for network in NETWORKS.values() for layout in network.layouts.values()} == set(
        PREPROCESSING)


@pytest.mark.parametrize("name, layout, expected", [
    ("resnet_v1_101", "slim", ("subtract_means", 0)), ("vgg_19", "slim", ("subtract_means", 0)),
    ("resnet_v2_50", "slim", ("minus_one_to_one", 1)), ("inception_v1", "slim", ("minus_one_to_one", 1)),
    ("mobilenet_v2", "slim", ("minus_one_to_one", 1)), ("mobilenet_v2", "keras", ("minus_one_to_one", 0)),
    ("mobilenet_v2", "torchvision", ("imagenet_statistics", 0)),
    ("resnet_v1_50", "torchvision", ("imagenet_statistics", 0)), ("resnet_v1_50", "keras", ("subtract_means", 0)),
])
def test_conventions_of_the_public_checkpoints(name, layout, expected):
    assert tuple(get_layout({"network": name, "layout": layout})) == expected


def test_tensorflow_is_imported_in_one_place():
    # Imported before common.tensorflow has set it up, tf_slim does not work on TensorFlow 2.
    for path in glob.glob(os.path.join(os.path.dirname(factory.__file__), "*.py")):
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [n for n in names if n.split(".")[0] in ("tensorflow", "tf_slim", "tf_keras", "keras")], path
