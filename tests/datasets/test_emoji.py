import csv
import io
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets import emoji

# Thirty emoji, of which Twitter lacks the last; Google draws 3 and 4 alike, Twitter 5 and 6.
COUNT = 30


def png(vendor, number):
    grey = {("google", 4): 3, ("twitter", 6): 5}.get((vendor, number), number)
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[8:56, 8:56] = [grey * 8, 0, 100 if vendor == "google" else 200, 255]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def package(vendor):
    """{path in the package: content}."""
    names = ["{:x}".format(0x1f600 + i) for i in range(COUNT)]
    entries = [{"unified": name.upper(), "image": name + ".png", "name": "FACE " + name, "subcategory": "face"}
               for name in names]
    there = names if vendor == "google" else names[:-1]
    files = {"img/{}/64/{}.png".format(vendor, name): png(vendor, names.index(name)) for name in there}
    return dict(files, **{"emoji.json": json.dumps(entries).encode(), "img/{}/20/a.png".format(vendor): b"small"})


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """Return a folder of two archives; the cache is empty and no client in reach."""
    monkeypatch.setenv("SLIM_RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    folder = tmp_path / "archives"
    folder.mkdir()
    for vendor in emoji.VENDORS:
        with tarfile.open(str(folder / "emoji-datasource-{}-15.1.2.tgz".format(vendor)), "w:gz") as tar:
            for name, content in package(vendor).items():
                member = tarfile.TarInfo("package/" + name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder


def read(folder):
    lists = {}
    for name in emoji.LISTS:
        with open(os.path.join(str(folder), name + ".csv"), newline="") as stream:
            lists[name] = list(csv.DictReader(stream))
    return lists


def test_lists_are_split_by_emoji_and_by_vendor(archives, tmp_path, capsys):
    emoji.main(["--path", str(archives), "--output", str(tmp_path / "out")])
    lists = read(tmp_path / "out")
    # 29 are drawn by both: a third, 10, is tested; of 19 a fifth, 4, is for choosing.
    assert {name: len(rows) for name, rows in lists.items()} == {
        "train": 38, "fit": 30, "validation": 8, "validation_query": 4, "validation_gallery": 4,
        "query": 10, "gallery": 10}
    labels = {name: [row["label"] for row in rows] for name, rows in lists.items()}
    assert labels["query"] == labels["gallery"] and len(set(labels["query"])) == 10
    assert not set(labels["query"]) & set(labels["train"]) and not set(labels["fit"]) & set(labels["validation"])
    assert sorted(labels["fit"] + labels["validation"]) == sorted(labels["train"])
    assert len(set(labels["query"] + labels["train"])) == 29 and "1F61D" not in labels["query"] + labels["train"]
    assert {row["vendor"] for row in lists["query"] + lists["validation_query"]} == {"twitter"}
    assert {row["vendor"] for row in lists["gallery"] + lists["validation_gallery"]} == {"google"}
    assert lists["query"][0]["name"] == "face " + labels["query"][0].lower()
    assert "train 38" in capsys.readouterr().out


def test_pictures_that_an_artist_repeats_are_never_tested(archives, tmp_path):
    repeated = {"1F603", "1F604", "1F605", "1F606"}
    for seed in range(8):
        unique = np.array(["{:X}".format(0x1f600 + i) not in repeated for i in range(COUNT - 1)])
        parts = emoji.split(unique, seed)
        assert unique[parts["test"]].all()
        assert sorted(np.concatenate(list(parts.values()))) == list(range(COUNT - 1))
    assert emoji.split(unique, 7)["test"].tolist() != emoji.split(unique, 6)["test"].tolist()
    emoji.make(str(tmp_path / "out"), str(archives), seed=3)
    lists = read(tmp_path / "out")
    assert repeated <= {row["label"] for row in lists["train"]}
    assert [row["label"] for row in lists["query"]] == [
        "{:X}".format(0x1f600 + row) for row in emoji.split(unique, 3)["test"]]


def test_transparency_is_white(archives, tmp_path):
    emoji.make(str(tmp_path / "out"), str(archives))
    row = read(tmp_path / "out")["query"][0]
    expected = np.full((64, 64, 3), 255, np.uint8)
    expected[8:56, 8:56] = [(int(row["label"], 16) - 0x1f600) * 8, 0, 200]
    with Image.open(row["path"]) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.array(image), expected)


def test_unpacked_packages_give_the_same(archives, tmp_path):
    for vendor in emoji.VENDORS:
        for name, content in package(vendor).items():
            path = tmp_path / "node_modules" / ("emoji-datasource-" + vendor) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    emoji.make(str(tmp_path / "out"), str(archives))
    first = read(tmp_path / "out")
    emoji.make(str(tmp_path / "out"), str(tmp_path / "node_modules"))  # over what it wrote itself
    assert read(tmp_path / "out") == first


def test_mistakes_are_one_line(archives, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "train.csv").write_text("path,label\n")
    (tmp_path / "half" / "emoji-datasource-google").mkdir(parents=True)
    for arguments, expected in [
            (["--path", str(archives), "--output", str(mine)], "train.csv is there and was not written by"),
            (["--path", str(archives), "--output", str(mine / "train.csv")], "is no folder; give another --output"),
            (["--path", str(tmp_path / "absent")], "--path: there is no folder"),
            (["--path", str(tmp_path / "half")], "expected emoji.json and img/google/64/*.png in"),
            (["--path", str(tmp_path)], "there is no npm here; install it, or put the archives into a folder and name "
                                        "that with --path")]:
        with pytest.raises(SystemExit) as stopped:
            emoji.main(["--output", str(tmp_path / "out")] + arguments)
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and expected in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists() and (mine / "train.csv").read_text() == "path,label\n"


def test_a_seed_is_a_whole_number(capsys):
    with pytest.raises(SystemExit):
        emoji.main(["--seed", "-1"])
    assert "'-1' is no whole number" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no JSON", b"[1]", b'{"unified": "1F600"}', b'[{"unified": "1F600"}]'])
def test_a_list_of_another_form(content):
    with pytest.raises(InputError, match="no emoji.json with `unified` and `image` of each emoji"):
        emoji.entries({} if content is None else {"emoji.json": content})
