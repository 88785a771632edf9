"""Training end to end with several losses: tags, missing labels, learned weights, the mixture's config, collapse."""
import csv
import glob
import json
import os

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import train_multi_gpu
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import loop, towers

CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")
SMALL = ["--model.network", "small_cnn", "--model.depth_multiplier", "0.125", "--model.image_size", "12",
         "--model.embedding_size", "0", "--data.crop_padding", "1"]


@pytest.fixture()
def photos(tmp_path, monkeypatch):
    """A CSV of 24 images, six classes in two categories; every third has no colour, some have two tags or none."""
    random = np.random.RandomState(0)
    with open(str(tmp_path / "train.csv"), "w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "category", "colour", "tags"])
        for i in range(24):
            pixels = (random.randint(0, 100, (12, 12, 3)) + 25 * (i % 6)).astype(np.uint8)
            Image.fromarray(pixels).save(str(tmp_path / "{}.png".format(i)))
            rows.writerow(["{}.png".format(i), "item{}".format(i % 6), ["shoe", "coat"][i % 2],
                           ["", "red", "blue"][i % 3], ["", "new", "new|warm", "warm"][i % 4]])
    monkeypatch.chdir(str(tmp_path))
    return tmp_path


def events(run):
    """Return {tag: [values]} of a run's TensorBoard events."""
    found = {}
    for path in glob.glob("runs/{}/logs/events*".format(run)):
        for event in tf.train.summary_iterator(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(value.simple_value)
    return found


def multi_task(method):
    return {
        "data": {"path": ".", "reader": "csv", "train": {"source": "train.csv"}},
        "model": {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12},
        "losses": [{"name": "proxy_anchor", "memory": 0}, {"name": "softmax", "label": "colour", "weight": 0.5},
                   {"name": "sigmoid", "label": "tags"},
                   {"name": "triplet", "miner": "distance_weighted", "memory": 16, "memory_start": 2}],
        "weighting": {"name": method},
        "training": {"steps": 6, "classes_per_batch": 4, "images_per_class": 2, "log_every_steps": 1, "num_clones": 2,
                     "save_every_steps": 3, "schedule": {"learning_rate": 0.01}}}


@pytest.mark.long
@pytest.mark.parametrize("method", ["fixed", "gradnorm"])
def test_tasks_share_a_trunk_with_curves_of_their_own_and_resume_exactly(photos, method):
    (photos / "tasks.yaml").write_text(yaml.safe_dump(multi_task(method)))
    train_multi_gpu.main(["--config", "tasks.yaml"])
    curves = events("tasks")
    for key in ("proxy_anchor", "softmax", "sigmoid", "triplet"):
        assert len(curves["loss/" + key]) == 6 and np.isfinite(curves["loss/" + key]).all()
        assert (curves["weight/" + key][-1] == {"softmax": 0.5}.get(key, 1.0)) == (method == "fixed")
    assert {"softmax/accuracy", "sigmoid/recall", "triplet/active_triplets", "proxy_anchor/accuracy"} <= set(curves)
    reader = tf.train.NewCheckpointReader("runs/tasks/checkpoints/model.ckpt-6")
    whole = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    assert whole["logits/colour/weights"].shape[1] == 2 and whole["logits/tags/weights"].shape[1] == 2
    assert whole["losses/proxy_anchor/proxies"].shape[0] == 6 and (whole["losses/triplet/memory_labels"] >= 0).all()
    assert json.load(open("runs/tasks/checkpoints/model.json"))["classes"]["colour"] == ["blue", "red"]
    if method == "fixed":
        return  # gradnorm has all of its state, and more

    train_multi_gpu.main(["--config", "tasks.yaml", "--run.name", "half", "--training.steps", "3"])
    train_multi_gpu.main(["--config", "tasks.yaml", "--run.name", "half"])
    reader = tf.train.NewCheckpointReader("runs/half/checkpoints/model.ckpt-6")
    for name, value in whole.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value, err_msg=name)


def test_the_mixtures_configuration(photos):
    config = os.path.join(CONFIGS, "triplet_softmax.yaml")
    with open(config) as stream:
        assert yaml.safe_load(stream)["losses"] == [
            {"name": "triplet_softmax", "category": "category", "options": {"omega": 0.7, "margin": 0.2}}]
    train_multi_gpu.main(["--config", config, "--data.path", ".", "--run.name", "mix", "--training.steps", "3",
                          "--training.classes_per_batch", "3", "--training.images_per_class", "2",
                          "--training.log_every_steps", "1"] + SMALL)
    curves = events("mix")
    # Three pairs, both ways, each with one negative: the three classes of a batch are of one category.
    assert curves["triplet_softmax/triplets"] == [6, 6, 6]
    np.testing.assert_allclose(curves["loss/total"], 0.7 * np.array(curves["triplet_softmax/triplet"])
                               + 0.3 * np.array(curves["triplet_softmax/cross_entropy"]), rtol=1e-5)


@pytest.fixture()
def flat(photos):
    """Images of one colour: whatever the weights, all embeddings coincide."""
    for i in range(24):
        Image.fromarray(np.full((12, 12, 3), 90, np.uint8)).save("{}.png".format(i))
    config = dict(multi_task("fixed"), losses=[{"name": "triplet_batch_hard"}])
    (photos / "flat.yaml").write_text(yaml.safe_dump(config))


def test_collapse_is_said_once(flat, capfd):
    train_multi_gpu.main(["--config", "flat.yaml"])
    errors = capfd.readouterr().err
    assert errors.count("embeddings have collapsed") == 1 and "step 3: embeddings have collapsed" in errors


def test_a_collapsed_training_can_stop_by_itself(flat, capfd):
    with pytest.raises(SystemExit) as stop:
        train_multi_gpu.main(["--config", "flat.yaml", "--training.stop_on_collapse", "true",
                              "--training.save_every_steps", "2"])
    errors = capfd.readouterr().err
    assert stop.value.code == 3 and "error: stopped at step 3: embeddings have collapsed" in errors
    assert "runs/flat/checkpoints/model.ckpt-2 is kept (training.stop_on_collapse)" in errors
    assert tf.train.latest_checkpoint("runs/flat/checkpoints").endswith("model.ckpt-2")


def test_a_gradient_that_is_no_number_is_not_saved(photos, capfd, monkeypatch):
    """The loss of the step that spoils the weights is finite: only its gradient tells."""
    def spoiled(*arguments):
        built = towers.build_towers(*arguments)
        factor = tf.where(tf.equal(tf.train.get_or_create_global_step(), 2), np.nan, 1.0)
        return built._replace(gradients=[(g * factor, v) for g, v in built.gradients])
    monkeypatch.setattr(loop, "build_towers", spoiled)
    (photos / "tasks.yaml").write_text(yaml.safe_dump(multi_task("fixed")))
    with pytest.raises(SystemExit):
        train_multi_gpu.main(["--config", "tasks.yaml", "--training.log_every_steps", "100"])
    assert "the gradient's norm is nan at step 3; nothing was saved yet" in capfd.readouterr().err
    assert tf.train.latest_checkpoint("runs/tasks/checkpoints") is None


def test_what_tensorboard_shows(photos):
    config = multi_task("fixed")
    config["training"].update(pictures_every_steps=4, num_clones=2, accumulate=2)
    (photos / "tasks.yaml").write_text(yaml.safe_dump(config))
    train_multi_gpu.main(["--config", "tasks.yaml"])
    curves = events("tasks")
    for tag in ("loss", "loss/triplet", "learning_rate", "triplet/active_triplets", "embedding/hardest_positive",
                "embedding/hardest_negative", "embedding/mean_norm", "embedding/std_pair_distance", "gradient_norm",
                "batch/with_positive", "batch/with_negative"):
        assert len(curves[tag]) == 6 and np.isfinite(curves[tag]).all(), tag
    assert curves["batch/with_positive"] == curves["batch/with_negative"] == [1.0] * 6
    np.testing.assert_allclose(curves["images_per_second"], 2 * 8 * np.array(curves["steps_per_second"]), rtol=1e-5)
    assert len(curves["hardest_triplets"]) == 2  # at step 4 and at the end
    train_multi_gpu.main(["--config", "tasks.yaml", "--training.steps", "7"])
    starts = [event.step for path in glob.glob("runs/tasks/logs/events*") for event in tf.train.summary_iterator(path)
              if event.session_log.status == tf.SessionLog.START]
    assert sorted(starts) == [1, 7]


def test_healthy_training_warns_of_nothing(photos, capfd):
    (photos / "tasks.yaml").write_text(yaml.safe_dump(multi_task("fixed")))
    train_multi_gpu.main(["--config", "tasks.yaml", "--training.steps", "30"])
    assert "warning" not in capfd.readouterr().err


def test_towers_of_one_image_each_are_warned_of(photos, capfd):
    config = dict(multi_task("fixed"), losses=[{"name": "contrastive"}])
    (photos / "alone.yaml").write_text(yaml.safe_dump(config))
    train_multi_gpu.main(["--config", "alone.yaml", "--training.num_clones", "8"])
    errors = capfd.readouterr().err
    assert errors.count("there is no positive pair") == 1 and "set training.loss_scope to global" in errors


def test_validation_on_held_out_classes_changes_nothing_in_training(photos):
    config = multi_task("fixed")
    config["training"].update(validation_classes=0.34, num_clones=1, steps=5)
    (photos / "held.yaml").write_text(yaml.safe_dump(config))
    for name, every in (("with", "2"), ("without", "0")):
        train_multi_gpu.main(["--config", "held.yaml", "--run.name", name, "--training.validate_every_steps", every])
    readers = [tf.train.NewCheckpointReader("runs/{}/checkpoints/model.ckpt-5".format(name))
               for name in ("with", "without")]
    for name in readers[0].get_variable_to_shape_map():
        np.testing.assert_array_equal(*[reader.get_tensor(name) for reader in readers], err_msg=name)
    curves = events("with")
    with open("runs/with/validation.csv") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["step"] for line in lines] == ["2", "4", "5"] and {line["num_queries"] for line in lines} == {"8"}
    np.testing.assert_allclose([float(line["mAP"]) for line in lines], curves["validation/mAP"], rtol=1e-5)
    assert len(curves["validation/recall_at_1"]) == 3 and not os.path.exists("runs/without/validation.csv")
    best = json.load(open("runs/with/checkpoints/kept.json"))["best"]
    assert best["value"] == pytest.approx(max(curves["validation/mAP"]), rel=1e-5)
    classes = json.load(open("runs/with/checkpoints/model.json"))["classes"]["label"]
    metadata = open("runs/with/logs/projector/metadata.tsv").read().split("\n")[1:-1]
    shown = {line.split("\t")[0] for line in metadata}
    assert len(metadata) == 8 and len(shown) == 2 and not shown & set(classes) and len(classes) == 4
