"""From a pretrained checkpoint to features, end to end: configs/finetune_layers.yaml at small size."""
import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.commands import extract_features, train_multi_gpu
from slim_retrieval.common.schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.convert import save_checkpoint, variable_shapes

CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "finetune_layers.yaml")
WIDTH = 0.35
SMALL = ["--model.depth_multiplier", str(WIDTH), "--model.image_size", "32", "--data.crop_padding", "0",
         "--training.classes_per_batch", "2", "--training.images_per_class", "2"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Return (prefix of a checkpoint with random weights, its values); the current directory holds photos/."""
    folder, random = tmp_path_factory.mktemp("finetune"), np.random.RandomState(0)
    for label in "ab":
        os.makedirs(str(folder / "photos" / label))
        for i in range(12):
            pixels = random.randint(0, 256, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(str(folder / "photos" / label / "{}.png".format(i)))
    options = dict(dataclasses.asdict(ModelConfig()), network="mobilenet_v2", depth_multiplier=WIDTH)
    values = {name: 0.1 * random.randn(*shape).astype(np.float32) for name, shape in variable_shapes(options).items()}
    values = {name: np.abs(value) + 1 if name.endswith(("variance", "gamma")) else value
              for name, value in values.items()}
    before = os.getcwd()
    os.chdir(str(folder))
    yield save_checkpoint(values, str(folder / "mobilenet.ckpt")), values
    os.chdir(before)


def weights(path):
    reader = tf.train.NewCheckpointReader(path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def read(*parts):
    with open(os.path.join("runs", *parts)) as stream:
        return json.load(stream)


def test_a_new_layer_on_a_frozen_network(pretrained):
    path, before = pretrained
    train_multi_gpu.main(["--config", CONFIG, "--data.path", "photos", "--model.checkpoint_path", path,
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
