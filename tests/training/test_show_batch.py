"""The sheet of a batch: pixels of the images that training sees, in their places; careless calls."""
import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.training import show_batch


@pytest.fixture()
def project(tmp_path, monkeypatch):
    """Four classes of two images, each of one colour of its own."""
    for c in range(4):
        (tmp_path / "images" / "class_{}".format(c)).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((10, 10, 3), 60 * c + 20 * i, np.uint8)).save(
                str(tmp_path / "images" / "class_{}".format(c) / "{}.png".format(i)))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({
        "data": {"path": "images", "train": {"source": "."}}, "losses": [{"name": "softmax"}],
        "model": {"network": "small_cnn", "image_size": 12},
        "training": {"classes_per_batch": 4, "images_per_class": 2}}))
    monkeypatch.chdir(str(tmp_path))
    return tmp_path


def test_every_image_of_the_batch_is_on_the_sheet(project):
    show_batch.main(["--config", "tiny.yaml", "--output", "new/sheet.png", "--step", "3"])
    pixels = np.array(Image.open("new/sheet.png"))
    assert pixels.shape == (96 + 14 + 2 * 6, 8 * (96 + 6) + 6, 3)  # one line of eight, enlarged to 96 pixels
    shown = [int(pixels[6 + 48, 6 + i * 102 + 48, 0]) for i in range(8)]
    assert sorted(shown) == [60 * c + 20 * i for c in range(4) for i in range(2)]
    assert all(shown[i] // 60 == shown[i + 1] // 60 for i in range(0, 8, 2))  # a class side by side
    assert [name for name in project.iterdir() if "partial" in name.name] == []


def test_lines_hold_whole_groups_and_captions_fit():
    images = np.random.RandomState(0).uniform(0, 255, (15, 300, 300, 3))
    canvas = show_batch.sheet(images, ["x"] * 15, group=3)
    assert canvas.size == (6 * (192 + 6) + 6, 3 * (192 + 14 + 6) + 6)  # six a line, reduced to 192 pixels
    assert show_batch.shortened("item_000123", 8) == "..000123" and show_batch.shortened("caf\xe9", 8) == "caf?"


@pytest.mark.parametrize("arguments, words", [
    (["--output", "a.png"], "give --config FILE"), (["--config", "tiny.yaml"], "--output FILE"),
    (["--config", "tiny.yaml", "--output", "a.png", "--step", "-1"], "the first batch is 0"),
    (["--config", "tiny.yaml", "--output", "a.gif"], "ends in .png"),
    (["--config", "tiny.yaml", "--output", "tiny.yaml/a.png"], "cannot write"),
    (["--config", "tiny.yaml", "--output", "a.png", "--training.sampler", "pkk"], "pk_category"),
    (["--config", "tiny.yaml", "--output", "a.png", "--data.augmentation.hue", "2"], "hue"),
    (["--config", "tiny.yaml", "--output", "a.png", "--data.crop_padding", "12"], "must be smaller")])
def test_careless_calls(project, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        show_batch.main(arguments)
    (line,) = [line for line in capsys.readouterr().err.split("\n") if line.startswith("error: ")]
    assert stop.value.code == 2 and words in line


def test_an_image_that_cannot_be_read_is_the_readers_error(project, capsys):
    for i in range(2):
        (project / "images" / "class_1" / "{}.png".format(i)).write_bytes(b"no image")
    with pytest.raises(SystemExit) as stop:
        show_batch.main(["--config", "tiny.yaml", "--output", "a.png"])
    assert stop.value.code == 2 and "none of the 2 images of the class" in capsys.readouterr().err
