"""retrieve.py --method gfr as a user calls it: what it learns from, what it says, what it keeps."""
import os
import subprocess
import sys

import numpy as np
import pytest

from slim_retrieval.commands import retrieve
from slim_retrieval.common import files, runs
from slim_retrieval.common.config import resolve
from slim_retrieval.graph import gfr_metric_descent, gfr_validation

SCRIPT = os.path.abspath(retrieve.__file__)
# Stands in for a machine without TensorFlow: importing it raises ImportError.
BLOCKED = ("import sys, runpy\n"
           "for name in ('tensorflow', 'tf_slim', 'tf_keras'):\n    sys.modules[name] = None\n"
           "runpy.run_path(sys.argv.pop(1), run_name='__main__')")
CLASSES = 8  # to learn from; the gallery's are others


def clustered(n, d=10, seed=0, centres=99):
    """Return (unit rows, labels); half of the dimensions say nothing about the class."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % CLASSES
    rows = (np.random.RandomState(centres).randn(CLASSES, d)[labels]
            + np.where(np.arange(d) % 2, 1.5, 0.3) * rng.randn(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


SPLITS = {"query": (8, 0, 98), "gallery": (80, 1, 98), "train": (96, 2, 99), "validation": (60, 3, 98)}


def write(folder, split, labels=True, d=10):
    """Write the split as <split>.npy and .csv; return its rows and labels."""
    n, seed, centres = SPLITS[split]
    rows, classes = clustered(n, d, seed, centres)
    np.save(str(folder / (split + ".npy")), rows)
    lines = ["label"] + ["c{}".format(label) for label in classes] if labels else ["note"] + ["x"] * n
    (folder / (split + ".csv")).write_text("\n".join(lines) + "\n")
    return rows, classes


def write_run(directory, splits, labels=True):
    run = directory / "runs" / "demo"
    for split in splits:
        folder = run / "features" / split
        folder.mkdir(parents=True)
        rows, _ = write(folder, split, labels)
        (folder / (split + ".npy")).rename(folder / "features.npy")
        (folder / (split + ".csv")).rename(folder / "index.csv")
        files.write_json(str(folder / "meta.json"), {"features_hash": files.digest(rows)})
    runs.save_config(str(run), resolve(None, {"run.name": "demo", "run.seed": "7", "gfr.epochs": "2"}))
    runs.point_latest(str(run))
    return run


def call(folder, *more):
    """Rank the files in `folder`; return the record."""
    name = "r{}".format(len(list((folder / "out").glob("*.json"))) if (folder / "out").exists() else 0)
    retrieve.main(["--query", str(folder / "query.npy"), "--gallery", str(folder / "gallery.npy"), "--method", "gfr",
                   "--output", str(folder / "out"), "--name", name] + list(more))
    return files.read_json(str(folder / "out" / (name + ".json")))


def ranks(folder, name):
    return np.load(str(folder / "out" / (name + ".npy")))


def taught(folder):
    return ["--train", str(folder / "train.npy"), "--train_labels", str(folder / "train.csv")]


def fails(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        retrieve.main(argv)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("error: ")
    return error


@pytest.mark.parametrize("labelled", [True, False])
def test_with_nothing_else_given_and_without_tensorflow(tmp_path, labelled):
    for split in ("query", "gallery", "train"):
        write(tmp_path, split)
    argv = ["--query", "query.npy", "--gallery", "gallery.npy", "--output", "out", "--method", "gfr"]
    done = subprocess.run([sys.executable, "-c", BLOCKED, SCRIPT] + argv + (taught(tmp_path) if labelled else []),
                          capture_output=True, text=True, cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = [line.strip().split(":")[0] for line in done.stdout.splitlines()]
    chosen = ["chosen " + what for what in ("training", "sharpness", "layers", "neighbors")]
    assert set(chosen) <= set(lines) and ("chosen metric" in lines) == labelled
    assert ("gfr: no labelled train features, so it learns from the gallery without labels" in done.stdout) != labelled
    record = files.read_json(str(tmp_path / "out" / "gfr.json"))
    assert record["report"]["labels"] == labelled and set(record["report"]["chosen"]) >= {"training", "neighbors"}
    # eval_map.py looks each of these splits up in the run, so no other name may stand there.
    made_from = ("query", "gallery", "train") if labelled else ("query", "gallery")
    assert record["features_hash"] == {
        split: files.digest(np.load(str(tmp_path / (split + ".npy")))) for split in made_from}
    assert record["report"]["images"] == (96 if labelled else 80)
    found, plain = np.load(str(tmp_path / "out" / "gfr.npy")), clustered(8, seed=0, centres=98)[0]
    gallery = clustered(80, seed=1, centres=98)[0]
    right = [np.mean(order[:, :9] % CLASSES == (np.arange(8) % CLASSES)[:, None])
             for order in (found, np.argsort(-plain @ gallery.T, axis=1))]
    assert right[0] > right[1] + 0.05


def test_what_was_learned_is_kept_and_not_learned_twice(tmp_path, capsys):
    for split in ("query", "gallery", "train"):
        write(tmp_path, split)
    first, second = call(tmp_path, *taught(tmp_path)), call(tmp_path, *taught(tmp_path))
    out = capsys.readouterr().out
    assert out.count("trained weights: ") == 1 and "(stored, not trained again: " in out
    assert first["parameters"]["checkpoint"] == second["parameters"]["checkpoint"]
    assert second["stage_seconds"]["learn"] == first["stage_seconds"]["learn"]
    assert first["report"]["chosen"] == second["report"]["chosen"]
    np.testing.assert_array_equal(ranks(tmp_path, "r0"), ranks(tmp_path, "r1"))
    others = [call(tmp_path, *more)["parameters"]["checkpoint"] for more in (
        [], taught(tmp_path) + ["--gfr.metric", "lda"], taught(tmp_path) + ["--run.seed", "1"])]
    assert len(set(others + [first["parameters"]["checkpoint"]])) == 4
    # What is done with queries is no matter of training.
    alone = call(tmp_path, *(taught(tmp_path) + ["--gfr.queries", "alone"]))["parameters"]
    assert alone["checkpoint"] == first["parameters"]["checkpoint"] and alone["queries"] == "alone"
    assert not np.array_equal(ranks(tmp_path, "r5"), ranks(tmp_path, "r0"))
    with open(first["parameters"]["checkpoint"], "wb") as stream:
        stream.write(b"damaged")
    call(tmp_path, *taught(tmp_path))
    np.testing.assert_array_equal(ranks(tmp_path, "r6"), ranks(tmp_path, "r0"))


def test_queries_are_never_learned_from(tmp_path):
    write(tmp_path, "gallery"), write(tmp_path, "query")
    first = call(tmp_path)["parameters"]["checkpoint"]
    np.save(str(tmp_path / "query.npy"), clustered(30, seed=8)[0])
    assert call(tmp_path)["parameters"]["checkpoint"] == first


def test_weights_serve_a_gallery_of_another_size_and_refuse_another_width(tmp_path, capsys):
    for split in ("query", "gallery", "train"):
        write(tmp_path, split)
    weights = call(tmp_path, *taught(tmp_path))["parameters"]["checkpoint"]
    x, labels = clustered(140, seed=5, centres=3)
    np.save(str(tmp_path / "gallery.npy"), x)
    record = call(tmp_path, "--gfr.checkpoint", weights)
    assert record["parameters"]["neighbors"] == 40 and record["num_gallery"] == 140
    assert "learn" not in record["stage_seconds"]
    assert "labels of 96 images of 8 classes" in record["report"]["chosen"]["training"]
    write(tmp_path, "gallery", d=12), write(tmp_path, "query", d=12)
    files_of_12 = ["--query", str(tmp_path / "query.npy"), "--gallery", str(tmp_path / "gallery.npy"), "--output",
                   str(tmp_path / "out"), "--method", "gfr"]
    error = fails(files_of_12 + ["--gfr.checkpoint", weights], capsys)
    assert "gallery features are 12 wide, but GFR was trained on 10" in error
    error = fails(files_of_12 + taught(tmp_path), capsys)
    assert "train features have the shape [96, 10] and gallery features [80, 12]" in error


def test_some_images_without_a_label_are_left_out(tmp_path, capsys):
    for split in ("query", "gallery", "train"):
        write(tmp_path, split)
    lines = (tmp_path / "train.csv").read_text().split("\n")
    (tmp_path / "train.csv").write_text("\n".join(["a,label"] + ["1," + (line if i % 3 else "")
                                                                for i, line in enumerate(lines[1:97])]) + "\n")
    record = call(tmp_path, *taught(tmp_path))
    assert record["report"]["images"] == 64
    assert "gfr: 64 of 96 train features have a label" in capsys.readouterr().out
    (tmp_path / "train.csv").write_text("a,label\n" + "1,\n" * 96)
    assert not call(tmp_path, *taught(tmp_path))["report"]["labels"]


@pytest.mark.parametrize("layer, stages", [("sage", {"train_graph", "graph"}), ("edge", set())])
def test_in_a_run(tmp_path, monkeypatch, layer, stages):
    """The layer edge searches its own neighbours, behind the metric that it learned."""
    run = write_run(tmp_path, ("query", "gallery", "train", "validation"))
    monkeypatch.chdir(tmp_path)
    retrieve.main(["--method", "gfr", "--gfr.layer", layer])
    about = files.read_json(str(run / "rankings" / "gfr.json"))
    assert stages | {"learn", "fit", "search"} <= set(about["stage_seconds"])
    weights = about["parameters"]["checkpoint"]
    assert os.path.dirname(weights) == os.path.join("runs", "demo", "gfr")
    assert os.listdir(str(run / "gfr")) == [os.path.basename(weights)]
    retrieve.main(["--method", "gfr", "--gfr.checkpoint", weights, "--name", "again"])
    again = files.read_json(str(run / "rankings" / "again.json"))
    assert "learn" not in again["stage_seconds"] and again["parameters"]["epochs"] == 2
    np.testing.assert_array_equal(np.load(str(run / "rankings" / "again.npy")),
                                  np.load(str(run / "rankings" / "gfr.npy")))
    retrieve.main(["--method", "gfr", "--gfr.layer", layer, "--validation"])
    tried = files.read_json(str(run / "validation" / "rankings" / "gfr.json"))
    assert tried["report"]["labels"] and tried["parameters"]["checkpoint"] == weights


@pytest.mark.parametrize("layer", ["edge", "sage"])
@pytest.mark.parametrize("splits", [("query", "gallery", "validation"), ("query", "gallery", "validation", "train")])
def test_in_a_run_without_labels(tmp_path, monkeypatch, capsys, layer, splits):
    run = write_run(tmp_path, splits, labels=False)
    monkeypatch.chdir(tmp_path)
    retrieve.main(["--method", "gfr", "--gfr.layer", layer])
    retrieve.main(["--method", "gfr", "--gfr.layer", layer, "--validation"])
    for folder in (run, run / "validation"):
        record = files.read_json(str(folder / "rankings" / "gfr.json"))
        assert not record["report"]["labels"] and "without labels" in record["report"]["chosen"]["training"]
    assert capsys.readouterr().out.count("it learns from the gallery without labels") == 2


def test_a_graph_without_signal_ranks_as_plain_search_does(tmp_path):
    noise = np.random.RandomState(0).normal(size=(330, 24))
    noise = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)
    np.save(str(tmp_path / "query.npy"), noise[:30])
    np.save(str(tmp_path / "gallery.npy"), noise[30:])
    assert call(tmp_path)["report"]["chosen"]["propagation"].startswith("none: two views of the features agree on")
    np.testing.assert_array_equal(ranks(tmp_path, "r0"), np.argsort(-noise[:30] @ noise[30:].T, axis=1))
    # Labels that have nothing to do with the features teach nothing that is better on held-out classes.
    np.save(str(tmp_path / "train.npy"), noise[::-1])
    (tmp_path / "train.csv").write_text("label\n" + "".join("c{}\n".format(i % 60) for i in range(330)))
    chosen = call(tmp_path, *taught(tmp_path))["report"]["chosen"]
    assert "what labels taught was no better" in chosen["training"] and chosen["propagation"].startswith("none: ")
    np.testing.assert_array_equal(ranks(tmp_path, "r1"), ranks(tmp_path, "r0"))


def test_a_stopped_training_goes_on_with_the_same_command(tmp_path, monkeypatch, capsys):
    """Of the network the epochs that were done are not done again; the ranking is the one of a training in one go."""
    for split in ("query", "gallery", "train"):
        write(tmp_path, split)
    command = taught(tmp_path) + ["--gfr.layer", "sage", "--gfr.epochs", "4"]
    whole = call(tmp_path, *command)["parameters"]["checkpoint"]
    os.remove(whole)
    check, epochs = gfr_metric_descent.check_loss, []

    def killed(loss, epoch, *more):
        epochs.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt
        check(loss, epoch, *more)
    monkeypatch.setattr(gfr_metric_descent, "check_loss", killed)
    with pytest.raises(SystemExit):
        call(tmp_path, *command)
    assert max(epochs) == 2 and len(os.listdir(str(tmp_path / "out" / "gfr"))) == 1  # the partial one
    monkeypatch.setattr(gfr_metric_descent, "check_loss", lambda loss, epoch, *more: epochs.append(10 + epoch))
    record = call(tmp_path, *command)
    assert {epoch for epoch in epochs if epoch >= 10} == {12, 13}
    assert "going on after epoch 2" in capsys.readouterr().out
    assert os.listdir(str(tmp_path / "out" / "gfr")) == [os.path.basename(record["parameters"]["checkpoint"])]
    np.testing.assert_array_equal(ranks(tmp_path, "r1"), ranks(tmp_path, "r0"))


def test_folds_of_the_made_up_classes_can_be_judged():
    """What the tests above stand on: the train classes are enough for a metric to be judged."""
    assert len(gfr_validation.folds(clustered(96, seed=2)[1], seed=0)) == 2
