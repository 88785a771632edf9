"""Converted networks against their source: slim, Keras, torchvision's layout in NumPy (and PyTorch, if installed)."""
import json
import os

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.convert import check_layout, main, save_checkpoint
from slim_retrieval.nets.extraction import FeatureNetwork
from slim_retrieval.nets.factory import build_network

SMALL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12}
IMAGES = np.random.RandomState(3).randint(0, 256, (2, 64, 64, 3)).astype(np.uint8)
RESNET_UNITS = [3, 4, 6, 3]
# Rows of table 2: (expansion, channels, blocks, stride).
MOBILE_ROWS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
               (6, 320, 1, 1)]


def convert(*arguments):
    main([str(argument) for argument in arguments])


def close(found, expected):
    assert 0.05 < np.mean(expected > 0) < 0.99
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def small(options, load_random, tmp_path_factory):
    """Return (folder of a small_cnn in every TensorFlow format, its values). Beside it lie logits and slots."""
    folder = tmp_path_factory.mktemp("slim")
    (folder / "v1").mkdir()
    with tf.Graph().as_default() as graph, tf.Session() as session:
        net, _ = build_network(tf.placeholder(tf.float32, [None, 12, 12, 3]), False, options(**SMALL))
        average = tf.train.ExponentialMovingAverage(0.9)
        averages = average.apply(tf.trainable_variables())
        logits = tf.get_variable("small_cnn/Logits/weights", [4, 2])
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        values = load_random(session)
        session.run(averages)
        tf.train.Saver().save(session, str(folder / "v2" / "model.ckpt"), global_step=step)
        tf.train.Saver(write_version=tf.train.SaverDef.V1).save(session, str(folder / "v1" / "model.ckpt"),
                                                                write_meta_graph=False, write_state=False)
        moved = {v.op.name: session.run(average.average(v)) for v in tf.trainable_variables() if v is not logits}
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [net.op.name])
        (folder / "model.pb").write_bytes(frozen.SerializeToString())
    np.savez(str(folder / "weights.npz"), **values)
    return folder, values, dict(values, **moved)


@pytest.mark.parametrize("source", ["v2/model.ckpt-0", "v2/model.ckpt-0.index", "v2/model.ckpt-0.data-00000-of-00001",
                                    "v2", "v1/model.ckpt", "v1", "model.pb", "weights.npz"])
def test_every_format_gives_the_same_network(small, options, tmp_path, capsys, source):
    folder, values, _ = small
    convert(folder / source, "--model", "small_cnn", "--depth_multiplier", 0.125, "--output", tmp_path / "out" / "m")
    said = capsys.readouterr().out
    assert "25 of 25 variables mapped" in said and "MISSING" not in said
    assert "small_cnn/conv_1_1/weights " in said and "[3, 3, 3, 3]" in said
    assert ("not mapped: small_cnn/Logits/weights [4, 2]" in said) == source.startswith("v")
    reader = tf.train.NewCheckpointReader(str(tmp_path / "out" / "m"))
    assert set(reader.get_variable_to_shape_map()) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)
    with FeatureNetwork(str(tmp_path / "out" / "m"), options(**SMALL)) as network:
        assert network.restored == 25
    with open(str(tmp_path / "out" / "m.json")) as stream:
        made = json.load(stream)
    assert (made["network"], made["layout"], made["preprocessing"]) == ("small_cnn", "slim", "minus_one_to_one")
    assert sorted(os.listdir(str(tmp_path / "out"))) == ["m.data-00000-of-00001", "m.index", "m.json"]


def test_moving_averages(small, tmp_path):
    folder, values, averages = small
    convert(folder / "v2", "--averages", "--model", "small_cnn", "--depth_multiplier", 0.125, "--output",
            tmp_path / "m")
    reader = tf.train.NewCheckpointReader(str(tmp_path / "m"))
    assert np.abs(averages["small_cnn/conv_1_1/weights"] - values["small_cnn/conv_1_1/weights"]).max() > 0.01
    for name, value in averages.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        convert(*arguments)
    said = capsys.readouterr()
    assert stop.value.code == 2
    return said.out, said.err.rstrip("\n").split("\n")[-1]


def test_what_does_not_fit_is_refused_by_name(small, tmp_path, capsys):
    folder, values, _ = small
    np.savez(str(tmp_path / "less.npz"), **{n: v for n, v in values.items() if "conv_2_1/BatchNorm" not in n})
    output = ("--output", tmp_path / "out" / "m")
    out, line = refused(capsys, tmp_path / "less.npz", "--model", "small_cnn", "--depth_multiplier", 0.125, *output)
    assert "MISSING: small_cnn/conv_2_1/BatchNorm/beta [6]" in out
    assert "lacks 4 of 25 variables: small_cnn/conv_2_1/BatchNorm/beta, " in line
    _, line = refused(capsys, folder / "v1", "--model", "small_cnn", *output)
    assert "small_cnn/conv_1_1/BatchNorm/beta has shape [3] there and [24] here" in line
    _, line = refused(capsys, folder / "v1", "--model", "smal_cnn", *output)
    assert "did you mean small_cnn?" in line
    assert not os.path.exists(str(tmp_path / "out"))


@pytest.mark.parametrize("name, content, expected", [
    ("none.pth", None, "no file "), ("text.ckpt", b"no checkpoint at all, but text", "cannot be read as a checkpoint"),
    ("text.pb", b"\xff" * 64, "is no frozen graph"), ("empty.pb", b"", "holds no weights; give a slim checkpoint"),
    ("x.h5", b"\x89HDF\r\n\x1a\n" + 8 * b"\0", "is not a readable HDF5 file")])
def test_files_that_are_none(tmp_path, capsys, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    _, line = refused(capsys, tmp_path / name, "--model", "small_cnn", "--output", tmp_path / "m")
    assert line.startswith("error: ") and expected in line


def test_folders_without_one_checkpoint(tmp_path, capsys):
    for name in ("a.index", "b.index"):
        (tmp_path / name).write_bytes(b"")
        _, line = refused(capsys, tmp_path, "--model", "small_cnn", "--output", tmp_path / "m")
    assert "holds 2 checkpoints, e.g. a.index; name one" in line


def test_another_layout_than_the_converted_one_is_refused(tmp_path, options):
    prefix = save_checkpoint({"w": np.zeros(2, np.float32)}, str(tmp_path / "m"))
    check_layout(prefix, options())  # nothing is known of it
    (tmp_path / "m.json").write_text(json.dumps({"layout": "keras", "network": "resnet_v1_50"}))
    check_layout(prefix, options(layout="keras"))
    with pytest.raises(InputError) as error:
        check_layout(prefix, options())
    assert str(error.value).startswith("model.layout is 'slim', but ")


def test_another_layout_than_the_trained_one_is_refused(tmp_path, options):
    prefix = save_checkpoint({"w": np.zeros(2, np.float32)}, str(tmp_path / "model.ckpt-3"))
    (tmp_path / "model.json").write_text(json.dumps({"model": options(layout="torchvision")}))
    check_layout(prefix, options(layout="torchvision", embedding_size=7))
    with pytest.raises(InputError, match="model.layout is 'keras', but .*model.ckpt-3 was made for 'torchvision'"):
        check_layout(prefix, options(layout="keras"))


def random_arrays(shapes):
    """Return {name: array} that keep the signal alive over 50 layers; no batch norm statistic at its default."""
    random, values = np.random.RandomState(0), {}
    for name, shape in shapes:
        if len(shape) == 4:
            fan_in = np.prod(shape[1:]) if name.endswith("weight") else np.prod(shape[:3])
            values[name] = random.randn(*shape) * np.sqrt(2.0 / fan_in)
        elif any(part in name for part in ("gamma", "var", ".weight")):
            values[name] = random.uniform(0.5, 1.0, shape)
        else:
            values[name] = 0.1 * random.randn(*shape)
    return {name: value.astype(np.float32) for name, value in values.items()}


@pytest.mark.long
@pytest.mark.parametrize("network, keras_name, width", [("resnet_v1_50", "ResNet50", 1.0),
                                                        ("mobilenet_v2", "MobileNetV2", 0.35)])
def test_keras(options, tmp_path, network, keras_name, width):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.keras.backend.set_session(session)
        alpha = {} if width == 1 else {"alpha": width}
        model = getattr(tf.keras.applications, keras_name)(input_shape=(64, 64, 3), weights=None, classes=5, **alpha)
        values = random_arrays([(w.name, w.shape.as_list()) for w in model.weights])
        # Depthwise kernels have one input channel each.
        model.set_weights([values[w.name] * (np.sqrt(w.shape.as_list()[2]) if "depthwise_kernel" in w.name else 1)
                           for w in model.weights])
        model.save_weights(str(tmp_path / "weights.h5"))
        last = model.get_layer({"resnet_v1_50": "conv5_block3_out"}.get(network, "out_relu")).output
        if network == "resnet_v1_50":  # blue first, means taken off, as Keras' preprocess_input does it
            inputs = IMAGES[..., ::-1] - np.array([103.939, 116.779, 123.68])
        else:
            inputs = IMAGES / 127.5 - 1
        expected = session.run(last, {model.input: inputs, tf.keras.backend.learning_phase(): 0})
    convert(tmp_path / "weights.h5", "--model", network, "--depth_multiplier", width, "--output", tmp_path / "m")
    close(ours(tmp_path, options, network, "keras", width), expected)


def ours(folder, options, network, layout, width=1.0):
    """Return the converted network's last feature map of IMAGES."""
    settings = options(network=network, layout=layout, depth_multiplier=width, image_size=64)
    end_point = {"mobilenet_v2": "layer_19"}.get(network, "block4")
    with FeatureNetwork(str(folder / "m"), settings, end_point, "none") as run:
        found = run(IMAGES)
    return found.reshape(2, 2, 2, -1)


class Numpy:
    """PyTorch's layers from their definitions, [N, C, H, W]."""

    @staticmethod
    def conv(x, weight, stride, padding, groups):
        x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
        kernel, sides = weight.shape[2], [(side - weight.shape[2]) // stride + 1 for side in x.shape[2:]]
        windows = np.array([[x[:, :, i:i + stride * sides[0]:stride, j:j + stride * sides[1]:stride][
            :, :, :sides[0], :sides[1]] for j in range(kernel)] for i in range(kernel)])
        if groups > 1:
            return np.einsum("ijnchw,cij->nchw", windows, weight[:, 0])
        return np.einsum("ijnchw,dcij->ndhw", windows, weight, optimize=True)

    @staticmethod
    def norm(x, mean, variance, weight, bias):
        def across(v):
            return v[None, :, None, None]
        return across(weight) * (x - across(mean)) / np.sqrt(across(variance) + 1e-5) + across(bias)

    @staticmethod
    def pool(x):
        x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="constant", constant_values=-np.inf)
        side = (x.shape[2] - 3) // 2 + 1
        return np.max([x[:, :, i:i + 2 * side:2, j:j + 2 * side:2][:, :, :side, :side]
                       for i in range(3) for j in range(3)], axis=0)

    @staticmethod
    def clip(x, top):
        return np.clip(x, 0, top)


class Torch:
    """The same by PyTorch."""

    def __init__(self, torch):
        self.torch = torch

    def conv(self, x, weight, stride, padding, groups):
        return self.torch.nn.functional.conv2d(x, weight, None, stride, padding, 1, groups)

    def norm(self, x, mean, variance, weight, bias):
        return self.torch.nn.functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, 1e-5)

    def pool(self, x):
        return self.torch.nn.functional.max_pool2d(x, 3, 2, 1)

    def clip(self, x, top):
        return self.torch.clamp(x, 0, top)


class Net:
    """torchvision's resnet50 and mobilenet_v2, by the names of their state_dict."""

    def __init__(self, backend, values=None):
        self.backend, self.values, self.shapes = backend, values, []

    def layer(self, x, conv, norm, channels, kernel=1, stride=1, groups=1, top=np.inf):
        inputs = 1 if groups > 1 else (x if self.values is None else x.shape[1])
        self.shapes += [(conv + ".weight", [channels, inputs, kernel, kernel])]
        self.shapes += [(norm + "." + name, [channels]) for name in ("weight", "bias", "running_mean", "running_var")]
        if self.values is None:
            return channels
        v = self.values
        x = self.backend.conv(x, v[conv + ".weight"], stride, kernel // 2, groups)
        x = self.backend.norm(x, v[norm + ".running_mean"], v[norm + ".running_var"], v[norm + ".weight"],
                              v[norm + ".bias"])
        return x if top is None else self.backend.clip(x, top)

    def resnet_v1_50(self, x):
        x = self.layer(x, "conv1", "bn1", 64, 7, 2)
        x = x if self.values is None else self.backend.pool(x)
        for block, units in enumerate(RESNET_UNITS, start=1):
            for unit in range(units):
                name, width = "layer{}.{}.".format(block, unit), 32 * 2 ** block
                stride = 2 if unit == 0 and block > 1 else 1
                shortcut = x
                if unit == 0:
                    shortcut = self.layer(x, name + "downsample.0", name + "downsample.1", 4 * width, 1, stride,
                                          top=None)
                x = self.layer(x, name + "conv1", name + "bn1", width)
                x = self.layer(x, name + "conv2", name + "bn2", width, 3, stride)
                x = self.layer(x, name + "conv3", name + "bn3", 4 * width, top=None)
                x = x if self.values is None else self.backend.clip(x + shortcut, np.inf)
        return x

    def mobilenet_v2(self, x):
        x, index, width = self.layer(x, "features.0.0", "features.0.1", 32, 3, 2, top=6), 1, 32
        for expansion, channels, blocks, first in MOBILE_ROWS:
            for block in range(blocks):
                name, inputs, wide, stride = "features.{}.conv.".format(index), x, width * expansion, first
                stride = first if block == 0 else 1
                place = 0
                if expansion > 1:
                    x, place = self.layer(x, name + "0.0", name + "0.1", wide, top=6), 1
                x = self.layer(x, "{}{}.0".format(name, place), "{}{}.1".format(name, place), wide, 3, stride, wide, 6)
                x = self.layer(x, "{}{}".format(name, place + 1), "{}{}".format(name, place + 2), channels, top=None)
                if self.values is not None and stride == 1 and width == channels:
                    x = x + inputs
                width, index = channels, index + 1
        return self.layer(x, "features.18.0", "features.18.1", 1280, top=6)


def torchvision_weights(network):
    """Return a state_dict as torchvision names it, classifier and counters included."""
    net = Net(None)
    getattr(net, network)(3)
    values = random_arrays(net.shapes)
    classifier = "fc" if network == "resnet_v1_50" else "classifier.1"
    values.update({classifier + ".weight": np.zeros((5, 8), np.float32), classifier + ".bias": np.zeros(5, np.float32)})
    for name in list(values):
        if name.endswith("running_var"):
            values[name.replace("running_var", "num_batches_tracked")] = np.array(3, np.int64)
    return values


def normalised():
    """IMAGES as torchvision's transforms give them, [N, C, H, W]."""
    images = (IMAGES / 255.0 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return images.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("network, count", [("resnet_v1_50", 320), ("mobilenet_v2", 314)])
def test_torchvision_layout(options, tmp_path, capsys, network, count):
    values = torchvision_weights(network)
    assert len(values) == count  # of the public state_dicts
    expected = getattr(Net(Numpy, values), network)(normalised()).transpose(0, 2, 3, 1)
    np.savez(str(tmp_path / "weights.npz"), **values)
    convert(tmp_path / "weights.npz", "--model", network, "--output", tmp_path / "m")
    said = capsys.readouterr().out
    assert "named as by torchvision" in said and "--model.layout torchvision" in said
    assert "not mapped: {} [5, 8]".format("fc.weight" if "resnet" in network else "classifier.1.weight") in said
    found = ours(tmp_path, options, network, "torchvision")
    close(found, expected)
    # In slim's layout the same weights run without any error, and give something else.
    other = ours(tmp_path, options, network, "slim")
    assert np.abs(other - expected).max() > 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("network", ["resnet_v1_50", "mobilenet_v2"])
def test_pytorch_itself(options, tmp_path, network, ending):
    torch = pytest.importorskip("torch")
    values = {name: torch.from_numpy(np.array(value)) for name, value in torchvision_weights(network).items()}
    if ending == ".pth":
        torch.save(values, str(tmp_path / "weights.pth"))
    else:
        pytest.importorskip("safetensors.torch").save_file(values, str(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        expected = getattr(Net(Torch(torch), values), network)(torch.from_numpy(normalised()).float()).numpy()
    convert(tmp_path / ("weights" + ending), "--model", network, "--output", tmp_path / "m")
    close(ours(tmp_path, options, network, "torchvision"), expected.transpose(0, 2, 3, 1))
