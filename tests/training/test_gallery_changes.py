"""Rows taken out of the gallery's features, and what may be added: all that needs no network."""
import os

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.commands import extract_features
from slim_retrieval.common import feature_store, files
from slim_retrieval.common.errors import InputError
from slim_retrieval.training import gallery_changes

PATHS = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "b/1.jpg"]  # one twice, as with boxes


@pytest.fixture()
def run(tmp_path, monkeypatch):
    """A run with the features of PATHS, in the current directory."""
    monkeypatch.chdir(str(tmp_path))
    writer = feature_store.FeatureWriter("runs/r/features/gallery", 4, "key")
    writer.append(np.random.RandomState(0).randn(5, 4).astype(np.float32), 5)
    writer.finish({"path": PATHS, "label": list("aabbb")}, {"model": "m"})
    return "runs/r"


def stored(run):
    folder = os.path.join(run, "features", "gallery")
    return (np.load(os.path.join(folder, "features.npy")), feature_store.read_index(os.path.join(folder, "index.csv")),
            files.read_json(os.path.join(folder, "meta.json")))


def test_deleted_rows_go_and_the_others_stay_bit_by_bit(run, tmp_path):
    before, _, about = stored(run)
    (tmp_path / "list.txt").write_text("./b/1.jpg\n\n")
    assert gallery_changes.delete(run, ["a/1.jpg", "list.txt"]) == 3
    features, index, meta = stored(run)
    assert features.tobytes() == before[[1, 3]].tobytes()
    assert index == {"path": ["a/2.jpg", "b/2.jpg"], "label": ["a", "b"]}
    assert meta == dict(about, rows=2, deleted=["a/1.jpg", "b/1.jpg"], features_hash=files.digest(features))
    assert gallery_changes.delete(run, ["b/1.jpg"]) == 0  # it is gone already
    assert stored(run)[2] == meta and os.listdir("runs/r/features") == ["gallery"]


@pytest.mark.parametrize("given, message", [
    (["a/1.jpg", "c.jpg"], "c.jpg is not in the gallery of runs/r .1 of 2 paths are not."),
    (["none.txt"], "no list none.txt"),
    (["none.csv"], "no none.csv"),
    (PATHS, "all 5 images of the gallery of runs/r would be deleted")])
def test_what_cannot_be_deleted_changes_nothing(run, given, message):
    before = stored(run)[2]
    with pytest.raises(InputError, match=message):
        gallery_changes.delete(run, given)
    assert stored(run)[2] == before and os.listdir("runs/r/features") == ["gallery"]


def test_photos_come_from_files_folders_and_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    for path in ("p/x/1.png", "p/x/deep/2.png", "p/3.png", "4.png"):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    (tmp_path / "p" / "notes.txt").write_text("no photo")
    (tmp_path / "list.csv").write_text("path,label,box\np/3.png,y,\n")
    assert gallery_changes.found(["p", "4.png", "list.csv"]) == [
        {"path": "p/3.png", "label": ""}, {"path": "p/x/1.png", "label": "x"}, {"path": "p/x/deep/2.png", "label": "x"},
        {"path": "4.png"}, {"path": "p/3.png", "label": "y", "box": ""}]
    (tmp_path / "boxes.csv").write_text("path,box\np/3.png,0 0 2 2\n")
    (tmp_path / "empty").mkdir()
    for given, message in (("boxes.csv", "has a column box"), ("empty", "holds no images"), ("none", "no photo")):
        with pytest.raises(InputError, match=message):
            gallery_changes.found([given])


@pytest.mark.parametrize("arguments, message", [
    (["--add", "none.jpg", "--delete", "a/1.jpg"], "no photo, folder or CSV file none.jpg"),
    (["--delete", "a/1.jpg", "--model.network", "vgg_16"], "--model.network has no place beside --add and --delete"),
    (["--delete", "a/1.jpg", "--run", "b"], "a second --run has no place")])
def test_mistakes_on_the_command_line_are_one_line(run, capsys, arguments, message):
    os.makedirs("runs/r/checkpoints")
    files.write_text("runs/r/config.yaml", "{}")
    with pytest.raises(SystemExit) as stop:
        extract_features.main(["--run", "r"] + arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert stored(run)[2]["rows"] == 5
