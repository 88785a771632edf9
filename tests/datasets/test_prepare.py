"""The command from the folder to the configuration: what it writes, says and refuses."""
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common import config as configuration
from slim_retrieval.datasets import prepare
from slim_retrieval.datasets.factory import check_disjoint, read_split
from slim_retrieval.datasets.near_duplicates import LIMIT

SPLITS = ["train", "validation", "query", "gallery"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder of the test's own: the default output is prepared/<name> there."""
    os.makedirs(str(tmp_path / "work"))
    monkeypatch.chdir(str(tmp_path / "work"))


@pytest.fixture
def shop(photos):
    """Four classes of twelve photos."""
    return photos(*["{}/{}.png".format(name, i) for name in ("boots", "caps", "red hat", "schürze") for i in range(12)],
                  folder="shop")


def run(capsys, *words):
    """Run the command; return what it printed."""
    prepare.main(list(words))
    return capsys.readouterr().out


def fails(capsys, *words):
    """Run the command, which must refuse; return its one line."""
    with pytest.raises(SystemExit) as info:
        prepare.main(list(words))
    assert info.value.code == 2
    lines = capsys.readouterr().err.strip().split("\n")
    assert lines[-1].startswith("error: ")
    return lines[-1]


def files(folder):
    """Return {file: digest of its bytes} of everything below a folder."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as stream:
                found[os.path.relpath(os.path.join(parent, name), folder)] = hashlib.md5(stream.read()).hexdigest()
    return found


def tables(folder):
    """Return {split: ImageTable} as the scripts read them by the configuration that was written."""
    config = configuration.to_plain(configuration.resolve(os.path.join(folder, "config.yaml")))
    check_disjoint(config["data"])
    return {split: read_split(config["data"], split, config["run"]["seed"]) for split in SPLITS
            if config["data"][split]["source"]}


def report(folder):
    with open(os.path.join(folder, "report.json")) as stream:
        return json.load(stream)


def test_a_folder_of_classes_in_one_command(shop, capsys):
    before = files(shop)
    printed = run(capsys, shop)
    got = tables("prepared/shop")
    paths = [path for split in SPLITS for path in got[split].paths]
    assert sorted(paths) == sorted(os.path.join(shop, name) for name in before) and len(set(paths)) == 48
    for split, share in zip(SPLITS, (0.6, 0.1, 0.05, 0.25)):
        assert abs(len(got[split]) - 48 * share) <= 4
        assert all(os.path.basename(os.path.dirname(path)) == label
                   for path, label in zip(got[split].paths, got[split].columns["label"]))
    assert got["train"].load(0).shape == (10, 12, 3)
    assert "train_multi_gpu.py --config prepared/shop/config.yaml\n" in printed and "eval_map.py" in printed
    assert "unreadable: none" in printed and "duplicates: none" in printed
    assert files(shop) == before  # the photos are as they were


def test_the_same_command_again_gives_the_same_files_and_another_seed_other_splits(shop, capsys):
    run(capsys, shop)
    first = files("prepared/shop")
    run(capsys, shop)
    assert files("prepared/shop") == first
    run(capsys, shop, "--seed", "1", "--output", "other")
    assert files("other")["train.csv"] != first["train.csv"] and report("other")["seed"] == 1
    assert configuration.resolve("other/config.yaml").run.seed == 1


def test_classes_apart(shop, capsys):
    shutil.copytree(os.path.join(shop, "boots"), os.path.join(shop, "boots 2"))
    shutil.copytree(os.path.join(shop, "caps"), os.path.join(shop, "caps 2"))
    printed = run(capsys, shop, "--split", "classes", "--name", "apart")
    got = tables("prepared/apart")
    known = {split: set(got[split].columns["label"]) for split in SPLITS}
    assert [len(known[split]) for split in SPLITS] == [2, 2, 2, 2] and known["query"] == known["gallery"]
    assert not known["train"] & known["validation"] and not (known["train"] | known["validation"]) & known["query"]
    # The copies are told, as duplicates under two labels and, as it falls out, as leakage.
    found = report("prepared/apart")
    assert found["duplicates"]["groups"] == found["duplicates"]["groups_with_several_labels"] == 24
    assert "under different labels, 24" in printed


def test_unreadable_images_are_left_out_and_listed(shop, capsys):
    for name, content in [("empty.jpg", b""), ("text.png", b"no image"), (b"latin\xff.jpg".decode(
            "utf-8", "surrogateescape"), b"")]:
        with open(os.path.join(shop, "caps", name), "wb") as stream:
            stream.write(content)
    os.symlink("nowhere.jpg", os.path.join(shop, "caps", "link.jpg"))
    printed = run(capsys, shop)
    assert "left out as unreadable, 4 images" in printed and "empty.jpg: the file is empty" in printed
    assert sum(len(table) for table in tables("prepared/shop").values()) == 48
    reasons = {os.path.basename(one["path"]): one["reason"] for one in report("prepared/shop")["unreadable"]}
    assert reasons == {"empty.jpg": "the file is empty", "text.png": "it is not an image that Pillow knows",
                       "latin\\xff.jpg": "its name is not valid UTF-8; rename it",
                       "link.jpg": "there is no such file"}


def test_nothing_that_can_be_read(photos, capsys):
    root = photos("a/1.jpg", "a/2.jpg", "b/1.jpg", folder="broken")
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        with open(os.path.join(root, name), "wb") as stream:
            stream.write(b"x")
    assert "none of the 3 images of" in fails(capsys, root)
    assert not os.path.exists("prepared/broken/config.yaml")


def test_duplicates_stay_on_one_side_and_near_ones_are_told_and_left_out_when_asked(photos, capsys):
    root = photos(*["{}/{}.png".format(name, i) for name in "ab" for i in range(20)], size=(40, 30), folder="near")
    for i in range(20):
        shutil.copy(os.path.join(root, "a", "{}.png".format(i)), os.path.join(root, "a", "copy {}.png".format(i)))
        image = Image.open(os.path.join(root, "b", "{}.png".format(i)))
        image.resize((80, 60), Image.NEAREST).save(os.path.join(root, "b", "large {}.png".format(i)))
    printed = run(capsys, root)
    got, found = tables("prepared/near"), report("prepared/near")
    sides = {path: split for split in SPLITS for path in got[split].paths}
    assert all(sides[os.path.join(root, "a", "{}.png".format(i))] ==
               sides[os.path.join(root, "a", "copy {}.png".format(i))] for i in range(20))
    assert found["duplicates"]["groups"] == 20 and found["leaks"]["limit"] == LIMIT
    # The enlarged copies fall apart at random; how many is counted here by their names.
    expected = {}
    for i in range(20):
        one, other = (sides[os.path.join(root, "b", name.format(i))] for name in ("{}.png", "large {}.png"))
        pair = tuple(sorted((one, other), key=SPLITS.index))
        if pair[0] != pair[1] and pair != ("query", "gallery"):
            expected[pair] = expected.get(pair, 0) + 1
    assert expected and {tuple(one["splits"]): one["near_pairs"] for one in found["leaks"]["pairs"]} == expected
    assert "the same pictures on both sides" in printed and "--drop_leaks" in printed
    printed = run(capsys, root, "--drop_leaks")
    assert report("prepared/near")["leaks"]["left_out"] == sum(expected.values())
    left = tables("prepared/near")
    assert sum(map(len, left.values())) == 80 - sum(expected.values())
    assert [len(left[split]) for split in ("query", "gallery")] == [len(got[split]) for split in ("query", "gallery")]


def test_lists_keep_their_columns_boxes_and_splits(shop, text, capsys):
    path = text("lists/photos.csv", "\ufefffile;item;split;camera;box\r\n" + "".join(
        "{}/{}.png;{};{};{};{}\r\n".format(os.path.join(shop, name), i, name, split, i, "1 1 9 8" if i == 1 else "")
        for name in ("boots", "caps") for i, split in [(0, "train"), (1, "train"), (2, "test"), (3, "test")]))
    assert "none of its columns (file, item, split, camera, box) is called label" in fails(capsys, path)
    printed = run(capsys, path, "--label_column", "item")
    got = tables("prepared/photos")
    assert sorted(got) == ["gallery", "query", "train"] and got["query"].paths == got["gallery"].paths
    assert got["train"].columns == {"label": ["boots", "boots", "caps", "caps"], "camera": ["0", "1", "0", "1"],
                                    "box": ["", "1 1 9 8"] * 2}
    assert got["train"].load(1).shape == (7, 8, 3)
    assert "as the data set has them" in printed and "fewer than 4 images in 2 classes" in printed


def test_consumer_to_shop(photos, capsys):
    root = photos(*["top/{}/{}/{}/{}.jpg".format(pair, style, source, i) for pair in range(12) for style in (1, 2)
                    for source in ("shop", "user") for i in range(2)], folder="c2s")
    run(capsys, root)
    got = tables("prepared/c2s")
    assert set(got["query"].columns["source"]) == {"user"} and set(got["gallery"].columns["source"]) == {"shop"}
    assert set(got["query"].columns["label"]) == set(got["gallery"].columns["label"])
    assert not set(got["query"].columns["label"]) & set(got["train"].columns["label"])
    assert got["query"].columns["category"][0] == "top"
    assert configuration.resolve("prepared/c2s/config.yaml").evaluation.protocol == "classes"


def test_a_flat_folder_is_searched_without_labels(photos, capsys):
    root = photos("1.jpg", "2.jpg", "3.JPG", folder="flat")
    printed = run(capsys, root)
    got = tables("prepared/flat")
    assert sorted(got) == ["gallery", "query"] and len(got["query"]) == 3 and got["query"].columns == {}
    assert "nothing is learnt or measured" in printed and "train_multi_gpu" not in printed
    assert "python -m slim_retrieval.datasets.prepare {} --like RUN".format(root) in printed


def test_without_a_training_split_the_network_of_another_run_is_used(photos, text, capsys):
    root = photos("1.jpg", "2.jpg", folder="flat")
    text("work/runs/old/config.yaml", "model: {network: small_cnn, image_size: 32, embedding_size: 16}\n"
                                      "extraction: {end_point: stage_2}\ndata: {path: /elsewhere}\n")
    printed = run(capsys, root, "--like", "old")
    config = configuration.resolve("prepared/flat/config.yaml")
    assert (config.model.network, config.model.image_size, config.extraction.end_point) == ("small_cnn", 32, "stage_2")
    assert config.data.path == os.path.abspath("prepared/flat") and config.run.name == "flat"
    assert "mkdir -p runs/flat && cp -r runs/old/checkpoints runs/flat/ && cp prepared/flat/config.yaml runs/flat/" \
        in printed
    assert "no run none" in fails(capsys, root, "--like", "none")


def test_images_inside_larger_files_stay_there(tmp_path, capsys):
    import struct
    folder = tmp_path / "digits"
    os.makedirs(str(folder))
    for part, count in [("train", 60), ("t10k", 40)]:
        pixels = np.random.RandomState(count).randint(0, 256, (count, 8, 8)).astype(np.uint8)
        (folder / (part + "-images-idx3-ubyte")).write_bytes(struct.pack(">IIII", 2051, count, 8, 8) + pixels.tobytes())
        (folder / (part + "-labels-idx1-ubyte")).write_bytes(
            struct.pack(">II", 2049, count) + bytes(bytearray(i % 5 for i in range(count))))
    run(capsys, str(folder))
    got = tables("prepared/digits")
    assert {split: len(table) for split, table in got.items()} == {"train": 54, "validation": 6, "query": 4,
                                                                  "gallery": 36}
    assert {split: one["images"] for split, one in report("prepared/digits")["splits"].items()} == {
        split: len(table) for split, table in got.items()}
    assert sorted(os.listdir("prepared/digits")) == ["config.yaml", "report.json", "report.txt"]
    config = configuration.resolve("prepared/digits/config.yaml")
    assert (config.data.reader, config.model.network, config.model.image_size) == ("idx", "small_cnn", 8)
    assert "other splits need --tfrecord" in fails(capsys, str(folder), "--split", "images")


def test_shards_share_their_numbers_and_old_ones_go(shop, capsys):
    from slim_retrieval.common.tensorflow import tf
    run(capsys, shop, "--tfrecord", "--images_per_shard", "10")
    names = sorted(name for name in os.listdir("prepared/shop") if name.endswith(".tfrecord"))
    assert "train-00000-of-00003.tfrecord" in names and not os.path.exists("prepared/shop/train.csv")
    with open("prepared/shop/labels.txt", encoding="utf-8") as stream:
        assert stream.read() == "0:boots\n1:caps\n2:red hat\n3:schürze\n"
    got = tables("prepared/shop")
    run(capsys, shop, "--output", "lists")
    lists = tables("lists")
    for split in SPLITS:
        assert got[split].paths == lists[split].paths and got[split].columns == lists[split].columns
        assert np.array_equal(got[split].load(1), lists[split].load(1))
    numbers = {}
    for name in names:
        for record in tf.python_io.tf_record_iterator("prepared/shop/" + name):
            features = tf.train.Example.FromString(record).features.feature
            text = features["image/class/text"].bytes_list.value[0].decode("utf-8")
            numbers.setdefault(text, set()).add(features["image/class/label"].int64_list.value[0])
    assert numbers == {"boots": {0}, "caps": {1}, "red hat": {2}, "schürze": {3}}
    run(capsys, shop, "--tfrecord")
    assert len([name for name in os.listdir("prepared/shop") if name.startswith("train-")]) == 1
    run(capsys, shop)
    assert not [name for name in os.listdir("prepared/shop") if "tfrecord" in name or name == "labels.txt"]
    assert os.path.exists("prepared/shop/train.csv")


def test_other_peoples_files_are_not_written_over(shop, photos, capsys):
    os.makedirs("mine")
    with open("mine/train.csv", "w") as stream:
        stream.write("precious")
    assert "train.csv is there and was not written by this command" in fails(capsys, shop, "--output", "mine")
    with open("mine/train.csv") as stream:
        assert stream.read() == "precious"
    run(capsys, shop, "--output", "out")
    other = photos("a/1.jpg", "a/2.jpg", "b/1.jpg", folder="other")
    assert "out was made from {}, not from {}".format(shop, other) in fails(capsys, other, "--output", "out")
    assert "mine/train.csv is no folder; give another --output" in fails(capsys, shop, "--output", "mine/train.csv")


def test_splits_that_are_no_more_leave_no_list_behind(shop, capsys):
    run(capsys, shop)
    assert os.path.exists("prepared/shop/validation.csv")
    run(capsys, shop, "--shares", "0.7", "0", "0.1", "0.2")
    assert not os.path.exists("prepared/shop/validation.csv") and "validation" not in tables("prepared/shop")


def test_a_check_that_was_interrupted_goes_on(shop, capsys, monkeypatch):
    from slim_retrieval.datasets import checks
    looked_at, look = [], checks._look_at_one

    def counting(table, row):
        looked_at.append(row)
        if len(looked_at) == 40 and not resumed:
            raise KeyboardInterrupt
        return look(table, row)
    resumed = []
    monkeypatch.setattr(checks, "_look_at_one", counting)
    with pytest.raises(SystemExit) as info:
        prepare.main([shop, "--workers", "1"])
    assert info.value.code == 130 and os.listdir("prepared/shop") == ["checked.npz"]
    first, resumed = len(looked_at), [True]
    run(capsys, shop)
    assert len(looked_at) - first == 48 - 32  # two whole tasks of 16 were done before the fortieth image
    assert sum(map(len, tables("prepared/shop").values())) == 48


def test_a_kill_while_writing_leaves_no_configuration_and_the_next_run_is_whole(shop, capsys, monkeypatch):
    from slim_retrieval.datasets import prepared_files
    write = prepared_files.write_text

    def stop(path, content):
        if path.endswith("query.csv"):
            raise KeyboardInterrupt
        write(path, content)
    for _ in range(2):  # over nothing, and over an earlier run
        with monkeypatch.context() as patch:
            patch.setattr(prepared_files, "write_text", stop)
            with pytest.raises(SystemExit):
                prepare.main([shop, "--seed", "5"])
        assert os.path.exists("prepared/shop/train.csv") and not os.path.exists("prepared/shop/config.yaml")
        assert report("prepared/shop")["complete"] is False
        run(capsys, shop)
        assert sum(map(len, tables("prepared/shop").values())) == 48 and report("prepared/shop")["complete"] is True


@pytest.mark.parametrize("words, message", [
    (["--split", "half"], "argument --split: invalid choice"), (["--spilt", "images"], "unrecognized arguments"),
    (["--shares", "0.5", "0.5", "0.5", "0.5"], "add up to 1"), (["--layout", "folder"], "did you mean folders"),
    (["--name", "a/b"], "--name a/b: it cannot name a run"), (["--seed", "x"], "--seed: 'x' is not a whole number"),
    (["--seed", "-1"], "argument --seed: -1 is not a whole number from 0"), (["--workers", "0"], "of at least 1"),
    (["--validation", "1.5"], "1.5 is not a share from 0 to 1"), (["--images_per_shard", "0"], "of at least 1"),
    (["--rotations"], "--rotations is for the layout omniglot"),
    (["--validation", "0.1"], "--validation is for data sets with splits")])
def test_flags_that_make_no_sense(shop, capsys, words, message):
    assert message in fails(capsys, shop, *words)
    assert not os.path.exists("prepared/shop")


def test_labels_that_say_nothing_and_folders_that_hold_nothing(photos, capsys, tmp_path):
    assert "each of the 3 images has a label of its own" in fails(capsys, photos("a/1.jpg", "b/1.jpg", "c/1.jpg",
                                                                                folder="unique"))
    os.makedirs(str(tmp_path / "empty"))
    assert "no image below" in fails(capsys, str(tmp_path / "empty"))
    assert "(did you mean empty?)" in fails(capsys, str(tmp_path / "emtpy"))
    assert "the following arguments are required: PATH" in fails(capsys)


def test_without_looking_at_the_images(shop, capsys):
    with open(os.path.join(shop, "caps", "0.png"), "wb"):
        pass
    os.symlink("nowhere.jpg", os.path.join(shop, "caps", "link.jpg"))
    printed = run(capsys, shop, "--no_checks")
    assert sum(map(len, tables("prepared/shop").values())) == 48 and "link.jpg: there is no such file" in printed
    assert report("prepared/shop")["duplicates"] is None and "not looked at" not in printed


def test_unlabelled_folders(shop, capsys):
    for name in ("0", "1"):
        with open(os.path.join(shop, "caps", name + ".png"), "w") as stream:
            stream.write("no image")
    printed = run(capsys, shop, "--unlabelled")
    got = tables("prepared/shop")
    assert sorted(got) == ["gallery", "query"] and len(got["gallery"]) == 46 and got["gallery"].columns == {}
    assert "left out as unreadable, 2 images" in printed and "layout folders, 46 images, longer side 12" in printed
    assert "duplicates: none" in printed


def test_an_edited_configuration_is_kept(shop, capsys):
    path = "prepared/shop/config.yaml"
    for _ in range(2):
        assert "config.yaml.old" not in run(capsys, shop)
    assert not os.path.exists(path + ".old")
    with open(path) as stream:
        written = stream.read()
    with open(path, "a") as stream:
        stream.write("# mine\n")
    assert "note: config.yaml had been edited: that one is now config.yaml.old" in run(capsys, shop)
    with open(path) as new, open(path + ".old") as old:
        assert (new.read(), old.read()) == (written, written + "# mine\n")
