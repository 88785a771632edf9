"""Mining over the whole training set: what is stored is right, and a killed run equals one that was not killed."""
import logging
import os

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import train_multi_gpu
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.folder import read_folder
from slim_retrieval.nets.extraction import FeatureNetwork, stored_model
from slim_retrieval.training import loop
from slim_retrieval.training.mining import Miner, _log, wrong_class

MINING = {"every_steps": 4, "neighbors": 6, "negatives": 1}


def test_wrong_class_by_a_loop():
    random = np.random.RandomState(0)
    labels = random.randint(3, size=20)
    ids = np.stack([random.permutation(20)[:7] for _ in range(20)])
    ids[3, 4:] = -1
    for kept in (2, 7, 9):
        found = wrong_class(ids, labels, kept)
        for row in range(20):
            expected = [i for i in ids[row] if i >= 0 and labels[i] != labels[row]][:kept]
            assert found[row].tolist() == expected + [-1] * (min(kept, 7) - len(expected))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder of 5 classes with 4 images each, and a config with sampler hard."""
    folder, random = tmp_path_factory.mktemp("mining"), np.random.RandomState(0)
    for c in range(5):
        (folder / "images" / str(c)).mkdir(parents=True)
        for i in range(4):
            pixels = (random.randint(0, 150, (12, 12, 3)) + 20 * c).astype(np.uint8)
            Image.fromarray(pixels).save(str(folder / "images" / str(c) / "{}.png".format(i)))
    (folder / "hard.yaml").write_text(yaml.safe_dump({
        "data": {"path": "images", "train": {"source": "."}, "crop_padding": 1, "flip": True},
        "model": {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12},
        "losses": [{"name": "triplet_batch_hard"}],
        "training": {"steps": 12, "sampler": "hard", "classes_per_batch": 4, "images_per_class": 2, "mining": MINING,
                     "save_every_steps": 2, "max_to_keep": 0, "schedule": {"learning_rate": 0.05}}}))
    return folder


@pytest.fixture(scope="module")
def whole(project):
    """The checkpoints of a run that was not interrupted."""
    before = os.getcwd()
    os.chdir(str(project))
    try:
        train("whole")
    finally:
        os.chdir(before)
    return str(project / "runs" / "whole" / "checkpoints")


def train(name, *arguments):
    train_multi_gpu.main(["--config", "hard.yaml", "--run.name", name] + list(arguments))


def mined_files(folder):
    return sorted(name for name in os.listdir(folder) if "mined" in name)


def weights(checkpoint):
    reader = tf.train.NewCheckpointReader(checkpoint)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_stored_neighbours_are_those_of_extracted_features(project, whole):
    assert mined_files(whole) == ["mined-0.npy", "mined-4.npy", "mined-8.npy"]
    table = read_folder(str(project / "images"))
    labels, pixels = table.columns["label"], np.stack([table.load(row) for row in range(20)])
    for step in (4, 8):
        options = dict(stored_model(whole, yaml.safe_load(open(os.path.join(whole, "..", "config.yaml")))["model"]))
        with FeatureNetwork(os.path.join(whole, "model.ckpt-{}".format(step)), options["model"]) as network:
            features = network(pixels)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        similarities = features @ features.T
        np.fill_diagonal(similarities, -2)
        found = np.load(os.path.join(whole, "mined-{}.npy".format(step)))
        for row in range(20):
            nearest = np.argsort(-similarities[row])[:6]
            expected = [i for i in nearest if labels[i] != labels[row]]
            np.testing.assert_allclose(similarities[row, found[row][found[row] >= 0]], similarities[row, expected],
                                       atol=1e-5)
            assert not [i for i in found[row] if i >= 0 and labels[i] == labels[row]]


class Killed(BaseException):
    """What a kill is to the files on disk: nothing more is written."""


def test_killed_and_resumed_equals_never_killed(project, whole, monkeypatch, capsys):
    monkeypatch.chdir(str(project))
    run, calls, options = loop._run, [], ["--training.save_every_steps", "3", "--training.max_to_keep", "1"]

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 9:  # mined at 8, saved at 6: the checkpoint needs what was mined at 4
            raise Killed
        return run(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "_run", dying)
        train("killed", *options)
    folder = os.path.join("runs", "killed", "checkpoints")
    assert mined_files(folder) == ["mined-4.npy", "mined-8.npy"]

    os.rename(os.path.join(folder, "mined-4.npy"), "away.npy")
    with pytest.raises(SystemExit) as stop:
        train("killed", *options)
    (line,) = [line for line in capsys.readouterr().err.split("\n") if line.startswith("error: ")]
    assert stop.value.code == 2 and "mined-4.npy" in line and "--run.name" in line
    os.rename("away.npy", os.path.join(folder, "mined-4.npy"))

    train("killed", *options)
    expected, found = weights(os.path.join(whole, "model.ckpt-12")), weights(os.path.join(folder, "model.ckpt-12"))
    assert set(expected) == set(found)
    for key, value in expected.items():
        np.testing.assert_array_equal(value, found[key], err_msg=key)


class _Sampler:
    def __init__(self):
        self.given = []

    def use(self, neighbors):
        self.given.append(neighbors)


class _Loader:
    def __init__(self, labels):
        self.table, self.labels, self.sampler = list(labels), {"label": np.array(labels)}, _Sampler()


@pytest.mark.parametrize("mining, steps, expected", [
    ({"every_steps": 4}, 10, [(0, 4), (4, 8), (8, 10)]),
    ({"every_steps": 4, "start_step": 3}, 12, [(0, 3), (3, 7), (7, 11), (11, 12)]),
    ({"every_steps": 0}, 7, [(0, 3), (3, 6), (6, 7)])])  # an epoch: 9 labelled images, 2 x 2 a step
def test_when_it_mines(mining, steps, expected, monkeypatch, tmp_path):
    loader, started, mined = _Loader([0, 0, 0, 1, 1, 1, 2, 2, 2, -1]), [], []
    options = {"data": {"workers": 1}, "training": {
        "steps": steps, "sampler": "hard", "classes_per_batch": 2, "images_per_class": 1, "accumulate": 2,
        "batch_size": 0, "unlabelled_per_batch": 0, "mining": dict({"start_step": 0, "neighbors": 5}, **mining)}}
    miner = Miner(loader, "label", options, str(tmp_path), None)
    miner.attach(None, lambda session, first, last: started.append((first, last)), 0)
    monkeypatch.setattr(miner, "_mine", lambda session, step: mined.append(step))
    for step in range(steps):
        miner.before(None, step)
    assert started == [(2 * first, 2 * last) for first, last in expected]  # in micro-batches, two a step
    assert mined == [first for first, _ in expected if first >= options["training"]["mining"]["start_step"]]


def test_images_without_a_wrong_class_nearby_are_said(caplog):
    ids, similarities = np.array([[1, 2], [0, 2], [0, 1]]), np.array([[.9, .5], [.9, .6], [.7, .6]], np.float32)
    with caplog.at_level(logging.INFO):
        _log(8, ids, similarities, np.array([[2, -1], [-1, -1], [1, -1]]), 1.0)
    assert "similarity to the nearest wrong class 0.550 on average" in caplog.text  # of .5 and .6
    assert "1 of 3 images have none but their own class among their 2 nearest" in caplog.text
