import h5py
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.keras_import import read_mobilenet_v2, slim_name, variable_shapes
from slim_retrieval.nets.mobilenet_v2 import mobilenet_v2

SIZE, WIDTH = 64, 0.35
IMAGES = np.random.RandomState(1).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)


def random_weights(shapes):
    """Weights that keep the signal alive over 50 layers and leave no batch norm statistic at its default."""
    random = np.random.RandomState(0)
    values = []
    for name, shape in shapes:
        if "kernel" in name:
            fan_in = np.prod(shape[:2] if "depthwise" in name else shape[:3])
            values.append(random.randn(*shape) * np.sqrt(2.0 / fan_in))
        else:
            positive = "gamma" in name or "variance" in name
            values.append(random.uniform(0.5, 1.5, shape) if positive else 0.2 * random.randn(*shape))
    return [value.astype(np.float32) for value in values]


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """Return (path of the weights, path of a whole model around them, Keras' feature map of IMAGES)."""
    folder = tmp_path_factory.mktemp("keras")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        network = tf.keras.applications.MobileNetV2((SIZE, SIZE, 3), alpha=WIDTH, include_top=False, weights=None)
        network.set_weights(random_weights([(w.name, w.shape.as_list()) for w in network.weights]))
        network.save_weights(str(folder / "weights.h5"))
        head = tf.keras.layers.Dense(5)(tf.keras.layers.GlobalAveragePooling2D()(network.output))
        tf.keras.Model(network.input, head).save(str(folder / "whole.h5"))
        expected = session.run(network.output, {network.input: IMAGES, tf.keras.backend.learning_phase(): 0})
        return folder / "weights.h5", folder / "whole.h5", expected


@pytest.fixture
def copy(keras, tmp_path):
    """Return the function that copies the weights as Keras 3 lays them out, below `top`, with changes."""
    def write(top="model_weights/mobilenetv2_0.35_64/", skip="", **more):
        path = str(tmp_path / "copy.h5")
        with h5py.File(str(keras[0]), "r") as old, h5py.File(path, "w") as new:
            def visit(name, item):
                if isinstance(item, h5py.Dataset) and (not skip or skip not in name):
                    layer, weight = name.split("/")[-2:]
                    new[top + layer + "/" + weight.split(":")[0].replace("depthwise_", "")] = item[()]
            old.visititems(visit)
            for name, shape in more.items():
                new[name.replace("__", "/")] = np.zeros(shape)
        return path
    return write


def ours(values):
    """Return our network's feature map of IMAGES with these variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        net, _ = mobilenet_v2(tf.constant(IMAGES), False, WIDTH)
        variables = {v.op.name: v for v in tf.global_variables()}
        assert set(variables) == set(values)
        session.run([v.initializer for v in variables.values()],
                    {variables[name].initializer.inputs[1]: value for name, value in values.items()})
        return session.run(net)


@pytest.mark.parametrize("file", [0, 1])
def test_our_network_gives_what_keras_gives(keras, file):
    expected = keras[2]
    found = ours(read_mobilenet_v2(str(keras[file]), WIDTH))
    assert expected.shape == (2, 2, 2, 1280) and 0.05 < np.mean(expected > 0) < 0.95
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_keras_3_layout_and_its_optimizer_slots(keras, copy):
    expected = read_mobilenet_v2(str(keras[0]), WIDTH)
    path = copy(optimizer_weights__adam__Conv1__kernel=(1,), model_weights__dense__dense__kernel=(1280, 19))
    found = read_mobilenet_v2(path, WIDTH)
    assert set(found) == set(expected) and len(found) == 260
    assert all(found[name].dtype == np.float32 and (found[name] == expected[name]).all() for name in found)


@pytest.mark.parametrize("width, name", [(1.0, "mobilenet_v2_1.0"), (1.4, "mobilenet_v2_1.4")])
def test_shapes_are_those_of_the_public_checkpoints(golden, width, name):
    assert {variable: list(shape) for variable, shape in variable_shapes(width).items()} == golden(name)


@pytest.mark.parametrize("layer, weight, expected", [
    ("Conv1", "kernel", "MobilenetV2/Conv/weights"),
    ("bn_Conv1", "beta", "MobilenetV2/Conv/BatchNorm/beta"),
    ("expanded_conv_depthwise", "kernel", "MobilenetV2/expanded_conv/depthwise/depthwise_weights"),
    ("block_16_project_BN", "moving_mean", "MobilenetV2/expanded_conv_16/project/BatchNorm/moving_mean"),
    ("Conv_1_bn", "gamma", "MobilenetV2/Conv_1/BatchNorm/gamma"),
    ("predictions", "kernel", None),
    ("block_1_expand_relu", "kernel", None),
])
def test_names(layer, weight, expected):
    assert slim_name(layer, weight) == expected


def refused(path, width=WIDTH):
    with pytest.raises(InputError) as error:
        read_mobilenet_v2(str(path), width)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_missing_variables_are_named(copy):
    message = refused(copy(skip="block_7_expand"))
    assert "lacks 5 of 260 variables: MobilenetV2/expanded_conv_7/expand/BatchNorm/beta, " in message


def test_unexpected_variables_are_named(copy):
    message = refused(copy(model_weights__m__block_17_expand__kernel=(1, 1, 8, 8), model_weights__m__Conv1__bias=(4,)))
    assert "does not: 2 of 262 variables: MobilenetV2/Conv/bias, MobilenetV2/expanded_conv_17/expand/weights" in message


def test_two_networks_in_one_file(copy):
    assert "MobilenetV2/Conv/weights twice" in refused(copy(model_weights__second__Conv1__kernel=(3, 3, 3, 16)))


def test_another_width(keras):
    message = refused(keras[0], 1.0)
    assert "MobilenetV2/Conv/BatchNorm/beta has shape [16] there and [32] at depth_multiplier 1.0" in message


def test_files_that_are_none(tmp_path):
    assert "no file" in refused(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    assert "is not a readable HDF5 file" in refused(tmp_path / "text.h5")
    with h5py.File(str(tmp_path / "empty.h5"), "w"):
        pass
    assert "lacks 260 of 260 variables" in refused(tmp_path / "empty.h5")
