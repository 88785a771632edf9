"""What runs on a graphics card is what runs on the CPU. `make test-gpu` runs this; without a card it is skipped."""
import os

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import train_multi_gpu
from slim_retrieval.common.files import read_json
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import cards, faiss_index, knn
from slim_retrieval.nets.extraction import SQUARE, FeatureNetwork
from slim_retrieval.training import devices

WANTED = os.environ.get("SLIM_RETRIEVAL_TEST_GPU") == "1"  # tests/conftest.py hides the cards without
ONE, TWO = ["--training.devices", "[/gpu:0]"], ["--training.devices", "[/gpu:0, /gpu:0]"]
CPU = ["--training.devices", "[/cpu:0]"]


@pytest.fixture(scope="module")
def gpus():
    found = len(tf.config.experimental.list_physical_devices("GPU")) if WANTED else 0
    if not found:
        pytest.skip("TensorFlow sees no GPU (make test-gpu on a machine with one runs this)")
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory, gpus):
    """A folder of 32 images of eight classes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.RandomState(0)
    for i in range(32):
        (folder / str(i % 8)).mkdir(exist_ok=True)
        pixels = (random.randint(0, 100, (24, 24, 3)) + 19 * (i % 8)).astype(np.uint8)
        Image.fromarray(pixels).save(str(folder / str(i % 8) / "{}.png".format(i)))
    return folder


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """Return the function that trains a small network by the command and gives (run, {variable: value})."""
    folder, runs = tmp_path_factory.mktemp("training"), {}

    def train(*flags, steps=4):
        key = flags + (steps,)
        if key not in runs:
            name = "run{}".format(len(runs))
            run = str(folder / name)
            config = {
                "run": {"name": name, "directory": str(folder)},
                "data": {"path": str(photos), "train": {"source": "."}},
                "model": {"network": "small_cnn", "image_size": 24, "depth_multiplier": 0.25},
                "training": {"classes_per_batch": 8, "images_per_class": 2, "loss_scope": "global",
                             "batch_norm": "sync", "log_every_steps": 1}}
            (folder / (name + ".yaml")).write_text(yaml.safe_dump(config))
            train_multi_gpu.main(["--config", run + ".yaml", "--training.steps", str(steps)] + list(flags))
            reader = tf.train.NewCheckpointReader("{}/checkpoints/model.ckpt-{}".format(run, steps))
            names = reader.get_variable_to_shape_map()
            runs[key] = run, {name: reader.get_tensor(name) for name in names if "/" in name}
        return runs[key]
    return train


def distance(one, other):
    """Return the norm of what two dicts of values differ by, as a share of the other's norm."""
    assert set(one) == set(other)
    norm = sum(float(np.sum(np.square(other[name], dtype=np.float64))) for name in other)
    return np.sqrt(sum(float(np.sum(np.square(one[name] - other[name], dtype=np.float64))) for name in other) / norm)


def test_no_number_of_towers_means_every_gpu(gpus):
    assert devices.tower_devices(0, []) == ["/gpu:{}".format(number) for number in range(gpus)]


def test_steps_are_those_of_the_cpu_and_towers_may_share_a_gpu(trained):
    cpu = trained(*CPU)[1]
    assert distance(trained(*ONE)[1], cpu) < 1e-3
    assert distance(trained(*TWO)[1], cpu) < 1e-3
    assert distance(trained(*TWO + ["--training.variables", "spread"])[1], cpu) < 1e-3


@pytest.mark.parametrize("precision", ["float16"] + (["bfloat16"] if tf.__version__.startswith("2.") else []))
def test_mixed_precision_is_near_float32(trained, precision):
    found = trained(*ONE + ["--training.precision", precision])[1]
    expected = trained(*ONE)[1]
    assert 0 < distance({name: found[name] for name in expected}, expected) < 0.05
    assert all(found[name].dtype == expected[name].dtype for name in expected)


def test_a_run_goes_on_where_it_ended(trained):
    run = trained(*ONE, steps=2)[0]
    train_multi_gpu.main(["--config", run + ".yaml", "--training.steps", "4"] + ONE)
    reader = tf.train.NewCheckpointReader(os.path.join(run, "checkpoints", "model.ckpt-4"))
    whole = trained(*ONE)[1]
    assert distance({name: reader.get_tensor(name) for name in whole}, whole) < 1e-3


def test_features_are_those_of_the_cpu(trained):
    checkpoint = os.path.join(trained(*ONE)[0], "checkpoints", "model.ckpt-4")
    model = read_json(os.path.join(os.path.dirname(checkpoint), "model.json"))["model"]
    images = np.random.RandomState(1).randint(0, 256, (6, 24, 24, 3)).astype(np.uint8)
    found = {}
    for device, precision in (("/cpu:0", "float32"), ("/gpu:0", "float32"), ("/gpu:0", "float16")):
        running = dict(SQUARE, devices=[device], precision=precision)
        with FeatureNetwork(checkpoint, model, running=running) as network:
            features = network(images)
            found[device, precision] = features / np.linalg.norm(features, axis=1, keepdims=True)
    exact = found["/cpu:0", "float32"]
    assert np.einsum("nd,nd->n", found["/gpu:0", "float32"], exact).min() > 0.99999
    assert np.einsum("nd,nd->n", found["/gpu:0", "float16"], exact).min() > 0.999


@pytest.fixture(scope="module")
def gallery():
    if not WANTED or not cards.count():
        pytest.skip("faiss sees no GPU (make test-gpu on a machine with one runs this)")
    random = np.random.RandomState(0)
    rows = random.randn(200, 32)[random.randint(200, size=20000)] + 0.5 * random.randn(20000, 32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_exact_neighbours_are_those_of_the_cpu(gallery, monkeypatch):
    ids, similarities = knn.search(gallery[:500], gallery, 30)
    monkeypatch.setattr(cards, "WORTH", 0)
    monkeypatch.setattr(cards, "PIECE", 7000 * 4 * 32)  # the gallery in three pieces
    assert cards.worthwhile(gallery[:500], gallery, 30)
    found, scores = knn.search(gallery[:500], gallery, 30)
    np.testing.assert_allclose(scores, similarities, atol=1e-5)
    assert np.mean(found == ids) > 0.999  # near ties may change places


@pytest.mark.parametrize("factory, effort", [(None, "nprobe"), ("IVF64,PQ16", "nprobe"), ("HNSW16", "efSearch"),
                                             ("IVF64,SQ8", "nprobe"), ("Flat", None)])
def test_indexes_find_what_was_asked_for(gallery, factory, effort):
    rows = np.arange(0, len(gallery), 100)
    ids, similarities = knn.search(gallery[rows], gallery, 9)
    ids, similarities = ids[:, 1:], similarities[:, 1:]
    found, scores, about = faiss_index.neighbors(gallery, 8, factory, (rows, (ids, similarities)), 0.9)
    assert knn.share_found(scores[rows], similarities) >= 0.9 and (effort is None or effort in about)
    there = found >= 0  # an index that looks at too few lists pads
    assert there.mean() > 0.99
    np.testing.assert_allclose(scores[there], np.einsum("nd,nkd->nk", gallery, gallery[found])[there], atol=1e-5)
