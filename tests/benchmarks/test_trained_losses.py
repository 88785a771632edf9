import csv

import numpy as np
import pytest
import raw_pixels
import trained_losses
from PIL import Image

from slim_retrieval.common.errors import InputError


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four classes of two 8 x 8 pictures, one of each a query; the set `emoji` is of them, one step long."""
    random, rows = np.random.RandomState(0), []
    for label in "abcd":
        pixels = random.randint(0, 256, (8, 8, 3))
        for split in ("query", "gallery"):
            noisy = np.clip(pixels + random.randint(-9, 9, pixels.shape), 0, 255).astype(np.uint8)
            path = tmp_path / "{}_{}.png".format(label, split)
            Image.fromarray(noisy).save(str(path))
            rows.append((split, str(path), label))
    for name in ("train", "query", "gallery", "fit", "validation_query", "validation_gallery"):
        with open(str(tmp_path / (name + ".csv")), "w") as stream:
            stream.write("path,label\n" + "".join("{},{}\n".format(path, label) for split, path, label in rows
                                                  if split in name or name in ("train", "fit")))
    small = {"data.path": str(tmp_path), "model.image_size": "8", "model.depth_multiplier": "0.1",
             "model.embedding_size": "4", "training.steps": "1", "training.classes_per_batch": "2",
             "data.crop_padding": "0"}
    old = trained_losses.SETS["emoji"]
    monkeypatch.setitem(trained_losses.SETS, "emoji", (old[0], small, "MRR", ["nt_xent", "softmax"], 2))
    return tmp_path


def run(folder, *arguments):
    trained_losses.main(["--set", "emoji", "--output", str(folder / "out.csv"), "--runs", str(folder / "runs")]
                        + list(arguments))
    with open(str(folder / "out.csv"), newline="") as stream:
        return list(csv.DictReader(stream))


def test_runs_are_recorded_once_and_none_is_left_behind(data, capsys):
    rows = run(data, "--only", "raw_pixels", "untrained", "nt_xent")
    assert [(row["loss"], row["seed"], row["steps"]) for row in rows] == [
        ("raw_pixels", "0", "0"), ("untrained", "0", "60"), ("nt_xent", "0", "1"),
        ("untrained", "1", "60"), ("nt_xent", "1", "1")]
    assert float(rows[0]["MRR"]) == 1 and all(row["mAP"] == row["MRR"] for row in rows)
    assert [path.name for path in (data / "runs").iterdir() if path.name != "latest"] == []
    printed = capsys.readouterr().out
    assert "| raw_pixels | 1.000 | 1.000 | 1 | 0 | 0 |" in printed
    scores = [float(row["MRR"]) for row in rows if row["loss"] == "nt_xent"]
    assert "| nt_xent | {:.3f} ± {:.3f} |".format(np.mean(scores), abs(scores[0] - scores[1]) / np.sqrt(2)) in printed
    (data / "train.csv").unlink()  # nothing is trained again
    assert run(data, "--only", "nt_xent", "untrained") == rows
    assert run(data, "--table") == rows
    capsys.readouterr()
    with pytest.raises(SystemExit):  # rows of other settings do not count
        run(data, "--table", "--model.image_size", "12")
    assert "no run of these settings is there" in capsys.readouterr().err


def test_validation_searches_other_lists(data):
    options = [trained_losses._settings("emoji", "nt_xent", 0, overrides)[0]["data"]
               for overrides in ({}, trained_losses.VALIDATION)]
    assert [[data[split]["source"] for split in ("train", "query", "gallery")] for data in options] == [
        ["train.csv", "query.csv", "gallery.csv"], ["fit.csv", "validation_query.csv", "validation_gallery.csv"]]


@pytest.mark.parametrize("arguments, expected", [(["--only", "nt_xnet"], "unknown loss 'nt_xnet' (did you mean"),
                                                 (["--set", "emojy"], "unknown set 'emojy' (did you mean emoji"),
                                                 (["--set", "fashion", "--validation"], "--validation is for the")])
def test_mistakes_are_one_line(data, capsys, arguments, expected):
    with pytest.raises(SystemExit):
        run(data, *arguments)
    error = capsys.readouterr().err
    assert error.startswith("error: " + expected) and error.count("\n") == 1
    assert not (data / "out.csv").exists()


def test_score_by_hand():
    features = {"query": np.array([[1.0, 0], [0, 2]]), "gallery": np.array([[3.0, 0], [1, 1], [0, 1]])}
    # Query 1 finds b, c, a by 1, .71, 0; its class is c: the second. Query 2 finds c, b, a; its class is c: the first.
    result = raw_pixels.score(features, {"query": ["c", "c"], "gallery": ["b", "c", "c"]})
    assert result["mean_reciprocal_rank"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["mAP"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2) and result["num_gallery"] == 3


def test_an_empty_table_is_an_error():
    with pytest.raises(InputError, match="no run of these settings"):
        trained_losses.table([], "MRR")
