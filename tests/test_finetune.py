"""From a pretrained checkpoint to features, end to end: configs/finetune_layers.yaml at small size."""
import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import extract_features, train_multi_gpu
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.convert import save_checkpoint, variable_shapes
from slim_retrieval.nets.small_cnn import small_cnn

CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "finetune_layers.yaml")
WIDTH = 0.35
SMALL = ["--model.depth_multiplier", str(WIDTH), "--model.image_size", "32", "--data.crop_padding", "0",
         "--training.classes_per_batch", "2", "--training.images_per_class", "2"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Go to a folder with photos/ and small.yaml, a configuration with a new layer and an embedding."""
    folder, random = tmp_path_factory.mktemp("finetune"), np.random.RandomState(0)
    for label in "ab":
        os.makedirs(str(folder / "photos" / label))
        for i in range(12):
            pixels = random.randint(0, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(str(folder / "photos" / label / "{}.png".format(i)))
    (folder / "small.yaml").write_text(yaml.safe_dump({
        "data": {"path": "photos", "gallery": {"source": "."}},
        "model": {"network": "small_cnn", "depth_multiplier": 0.125, "end_point": "stage_2", "embedding_size": 4,
                  "layers": [{"type": "conv", "filters": 3}]}}))
    before = os.getcwd()
    os.chdir(str(folder))
    yield folder
    os.chdir(before)


def random_checkpoint(path, **options):
    """Write a checkpoint of random weights of a network; return its values."""
    random, values = np.random.RandomState(0), {}
    for name, shape in sorted(variable_shapes(dict(dataclasses.asdict(ModelConfig()), **options)).items()):
        value = 0.1 * random.randn(*shape).astype(np.float32)
        values[name] = np.abs(value) + 1 if name.endswith(("variance", "gamma")) else value
    save_checkpoint(values, path)
    return values


def weights(path):
    reader = tf.train.NewCheckpointReader(path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def read(*parts):
    with open(os.path.join("runs", *parts)) as stream:
        return json.load(stream)


def test_a_new_layer_on_a_frozen_network(photos):
    before = random_checkpoint("mobilenet.ckpt", network="mobilenet_v2", depth_multiplier=WIDTH)
    train_multi_gpu.main(["--config", CONFIG, "--data.path", "photos", "--model.checkpoint_path", "mobilenet.ckpt",
                          "--training.steps", "3", "--run.name", "new"] + SMALL)
    after = weights("runs/new/checkpoints/model.ckpt-3")
    behind = {name for name in before if name.split("/")[1] in ["Conv", "expanded_conv"] + [
        "expanded_conv_{}".format(i) for i in range(1, 15)]}
    assert len(behind) > 100 and all(np.array_equal(before[name], after[name]) for name in behind)
    assert after["finetune_layers/conv_1/weights"].shape == (3, 3, 56, 256)
    report = read("new", "restore.json")
    assert report["counts"] == {"restored": len(before), "excluded": 0, "initialised": 6, "unused": 0}
    assert report["initialised"]["embedding/weights"] == [256, 256]
    extract_features.main(["--extraction.splits", "[gallery]",
                           "--extraction.more_end_points", "[finetune_layers/conv_1]"])
    features = np.load("runs/new/features/gallery/features.npy")
    assert features.shape == (6, 256) and np.abs(features[0] - features[1]).max() > 0
    assert np.load("runs/new/features/gallery.finetune_layers_conv_1/features.npy").shape == features.shape
    assert read("new", "features", "gallery", "meta.json")["model"]["layers"][0]["filters"] == 256


@pytest.fixture(scope="module")
def pretrained(photos):
    """Return {variable: value} of small.ckpt, which has small_cnn and nothing else."""
    return random_checkpoint("small.ckpt", network="small_cnn", depth_multiplier=0.125)


BARE = ["--model.layers", "[]", "--model.embedding_size", "0"]


def take(*arguments):
    extract_features.main(["--config", "small.yaml", "--model.checkpoint_path", "small.ckpt"] + list(arguments))


def test_features_of_a_pretrained_network_without_training(pretrained, capfd):
    take(*BARE)
    run = os.path.realpath("runs/latest")
    assert os.path.basename(run) == "small_pretrained"
    meta = read(run, "features", "gallery", "meta.json")
    assert meta["model"]["checkpoint_path"] == "small.ckpt" and meta["checkpoint"] == "model.ckpt-0"
    assert read(run, "restore.json")["counts"] == {"restored": 25, "excluded": 0, "initialised": 0, "unused": 0}
    features = np.load(os.path.join(run, "features", "gallery", "features.npy"))
    with open(os.path.join(run, "features", "gallery", "index.csv")) as stream:
        paths = [line.split(",")[0] for line in stream.read().split("\n")[1:-1]]
    images = np.array([np.asarray(Image.open(path)) for path in paths], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:  # the network itself, without any of extraction
        _, end_points = small_cnn(tf.constant(images / 127.5 - 1), False, 0.125)
        tf.train.Saver().restore(session, "./small.ckpt")
        expected = session.run(end_points["stage_2"]).mean(axis=(1, 2))
    assert len(features) == 24
    np.testing.assert_allclose(features, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    capfd.readouterr()
    take(*BARE)
    extract_features.main([])
    assert capfd.readouterr().err.count("already extracted from this checkpoint") == 2


@pytest.mark.parametrize("arguments, message", [
    ([], r"lacks finetune_layers/conv_1/weights, .*with --model.embedding_size 0 --model.layers '\[\]'"),
    (BARE + ["--model.pooling", "gem_learned"], "lacks pooling/p: .* --model.pooling gem"),
    (BARE + ["--model.network", "alexnet_v2", "--model.depth_multiplier", "1", "--model.end_point", ""], "none of the"),
    (BARE + ["--model.depth_multiplier", "0.5"], r"has shape \[.*\] there and \[.*\] here; is it of another width"),
    (BARE + ["--model.checkpoint_path", "nowhere"], "no checkpoint nowhere"),
    (BARE + ["--pretrained", "--model.checkpoint_path", ""], "model.checkpoint_path is empty"),
    (BARE + ["--run", "new"], "make a run of their own: .* without --run"),
    (BARE + ["--data.path", "nowhere"], "nowhere")])
def test_random_features_are_refused_and_leave_nothing(pretrained, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        take("--run.name", "refused", *arguments)
    assert stop.value.code == 2 and re.search(message, capsys.readouterr().err)
    assert not os.path.exists("runs/refused")


def test_a_trained_run_is_not_written_over(pretrained, capsys):
    os.makedirs("runs/trained/checkpoints")
    for suffix in (".index", ".data-00000-of-00001"):
        with open("runs/trained/checkpoints/model.ckpt-3" + suffix, "w"):
            pass
    with pytest.raises(SystemExit):
        take("--run.name", "trained", *BARE)
    assert "was trained, its newest checkpoint is model.ckpt-3" in capsys.readouterr().err


def gallery(run):
    return np.load(os.path.join("runs", run, "features", "gallery", "features.npy")).astype(np.float64)


@pytest.fixture(scope="module")
def two_runs(pretrained):
    """Make the runs A and B, of two networks of other widths, with features of all photos."""
    random_checkpoint("wide.ckpt", network="small_cnn", depth_multiplier=0.25)
    take("--run.name", "A", *BARE)
    take("--run.name", "B", "--model.depth_multiplier", "0.25", "--model.checkpoint_path", "wide.ckpt", *BARE)


def test_features_of_two_models_are_the_single_runs_side_by_side(two_runs, capfd):
    extract_features.main(["--run", "A", "--run", "runs/B", "--weights", "1", "0.5"])
    a, b = gallery("A"), gallery("B")
    expected = np.hstack([w * f / np.linalg.norm(f, axis=1, keepdims=True) for f, w in ((a, 1.0), (b, 0.5))])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(gallery("A+B"), expected, atol=1e-6)
    assert os.path.realpath("runs/latest") == os.path.realpath("runs/A+B")
    parts = read("A+B", "features", "gallery", "meta.json")["parts"]
    assert [(part["weight"], part["model"]["checkpoint_path"], part["checkpoint"]) for part in parts] == [
        (1.0, "small.ckpt", "model.ckpt-0"), (0.5, "wide.ckpt", "model.ckpt-0")]
    assert not os.path.exists("runs/A+B/models")  # what the runs had was not computed again
    capfd.readouterr()
    extract_features.main([])
    assert "already extracted from these checkpoints" in capfd.readouterr().err


def test_two_models_on_other_images_than_the_runs_own(two_runs):
    before = gallery("A")
    extract_features.main(["--run", "A", "--run", "B", "--run.name", "half", "--data.gallery.part", "[0.5, 1]",
                           "--extraction.end_point", "stage_1"])
    found = gallery("half")
    assert found.shape == (12, 3 + 6)
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 0.5 ** 0.5, atol=1e-6)  # both weigh the same
    np.testing.assert_array_equal(gallery("A"), before)


@pytest.mark.parametrize("arguments, message", [
    (["--run", "A", "--run", "B", "--weights", "1"], "2 runs but 1 weights"),
    (["--run", "A", "--weights", "1"], "1 runs but 1 weights; give one for each of several runs"),
    (["--run", "A", "--run", "C"], "no run C"),
    (["--run", "A", "--run", "empty"], "run empty has no network of its own"),
    (["--run", "A", "--run", "B", "--extraction.end_point", "stage_9"], "unknown end point stage_9"),
    (["--run", "A", "--run", "B", "--run.name", "A"], "runs/A is the run of one model"),
    (["--run", "A", "--extraction.models", "[{run: A}, {run: B}]"], "runs/A is the run of one model"),
    (["--run", "A", "--run", "B", "--weights", "1", "-1"], "weight.*-1.0 is out of range"),
    (["--run", "A", "--run", "B", "--model.pooling", "max"], "model.pooling cannot be set for several models"),
    (["--run", "A", "--run", "B", "--extraction.whitening", "pca"], "extraction.whitening cannot be set"),
    (["--config", "small.yaml", "--extraction.models", "[{run: A}, {runn: B}]"], "runn")])
def test_mistakes_with_several_models_are_one_line(two_runs, capsys, arguments, message):
    os.makedirs("runs/empty", exist_ok=True)
    shutil.copy("runs/A/config.yaml", "runs/empty")
    before, newest = sorted(os.listdir("runs")), os.path.realpath("runs/latest")
    with pytest.raises(SystemExit) as stop:
        extract_features.main(arguments)
    assert stop.value.code == 2 and re.search(message, capsys.readouterr().err)
    assert (sorted(os.listdir("runs")), os.path.realpath("runs/latest")) == (before, newest)
