"""Each benchmark's published layout, in miniature copies that the tests write by hand."""
import json
import os
import pickle
import shutil
import struct

import numpy as np
import pytest
from scipy.io import savemat

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.layouts import read_layout

OXFORD = ["all_souls_000013", "all_souls_000026", "ashmolean_000000", "oxford_002904"]
IDS = ["0123456789abcdef", "4444444444444444", "fedcba9876543210", "aaaabbbbccccdddd", "eeee0000ffff1111"]


def rows(table, root, *columns):
    """Return (path below root, value of each column) of each row, in order."""
    return [(os.path.relpath(path, root),) + tuple(table.columns[name][i] for name in columns)
            for i, path in enumerate(table.paths)]


def test_oxford(oxford, photos):
    name, found = read_layout(oxford)
    assert (name, found.protocol) == ("oxford5k", "oxford5k")
    assert found.ground_truth == os.path.join(oxford, "gt_files_170407")
    assert rows(found.splits["query"], oxford, "query", "box", "label") == [
        ("images/all_souls_000013.jpg", "all_souls_1", "2.5 1.1 8.5 9.7", "all_souls"),
        ("images/ashmolean_000000.jpg", "ashmolean_1", "0 0 12 10", "ashmolean")]
    assert rows(found.splits["gallery"], oxford) == [("images/{}.jpg".format(stem),) for stem in OXFORD]
    # Pillow rounds half to even, as the crop of the published code does: columns 2 to 8, rows 1 to 10.
    whole = found.splits["gallery"].load(0)
    assert np.array_equal(found.splits["query"].load(0), whole[1:10, 2:8])
    photos("a/000001.jpg", "b/000001.jpg", folder="ox/ox100k")
    _, found = read_layout(oxford, distractors=os.path.join(oxford, "ox100k"))
    assert len(found.splits["gallery"]) == 6 and found.splits["gallery"].columns["label"][-1] == "distractor"
    for folder, message in [("none", "no such folder"), ("ox/gt_files_170407", "no image below it")]:
        with pytest.raises(InputError, match="--distractors .*" + message):
            read_layout(oxford, distractors=os.path.join(os.path.dirname(oxford), folder))


def test_paris_lies_in_folders_and_is_told_by_its_names(photos, text):
    root = photos("paris/defense/paris_defense_000605.jpg", "paris/eiffel/paris_eiffel_000128.jpg")
    for part, content in [("query", "paris_defense_000605 216.8 30.9 400 300"), ("good", "paris_defense_000605"),
                          ("ok", ""), ("junk", "")]:
        text("paris_120310/defense_1_{}.txt".format(part), content + "\n")
    name, found = read_layout(root)
    assert (name, found.protocol) == ("paris6k", "paris6k")
    assert found.splits["gallery"].columns["label"] == ["defense", "eiffel"]


@pytest.mark.parametrize("line, message", [
    ("oxc1_all_souls_000014 1 2 3 4", "its image all_souls_000014 is not among the 4 images"),
    ("oxc1_all_souls_000013 1 2 3", "expected an image's name and four numbers"),
    ("oxc1_all_souls_000013 1 2 3 x", "its box is could not convert")])
def test_a_broken_query_file(oxford, text, line, message):
    text("ox/gt_files_170407/all_souls_1_query.txt", line + "\n")
    with pytest.raises(InputError, match="all_souls_1_query.txt: " + message):
        read_layout(oxford)


def test_two_oxford_images_of_one_name(oxford, photos):
    photos("copy/all_souls_000013.jpg", folder="ox")
    with pytest.raises(InputError, match="two images are called all_souls_000013"):
        read_layout(oxford)


@pytest.mark.parametrize("name, file", [("roxford5k", "gnd_roxford5k.pkl"), ("rparis6k", "gnd_rparis6k.pkl")])
def test_revisited(photos, tmp_path, name, file):
    root = photos("jpg/q_1.jpg", "jpg/b_2.jpg", "jpg/a_3.jpg")
    truth = {"imlist": ["b_2", "a_3"], "qimlist": ["q_1"],
             "gnd": [{"bbx": np.array([1.5, 2, 6, 8.4]), "easy": [0], "hard": np.array([1]), "junk": []}]}
    with open(str(tmp_path / file), "wb") as stream:
        pickle.dump(truth, stream, 2)
    got, found = read_layout(root)
    assert got == found.protocol == name and found.ground_truth == str(tmp_path / file)
    assert rows(found.splits["query"], root, "box") == [("jpg/q_1.jpg", "1.5 2 6 8.4")]
    assert rows(found.splits["gallery"], root) == [("jpg/b_2.jpg",), ("jpg/a_3.jpg",)]  # the order of imlist
    assert found.splits["query"].load(0).shape == (6, 4, 3)
    extra = photos("x/1.jpg", "x/q_1.jpg", folder="revisitop1m")  # below the root, with a name that is there too
    assert rows(read_layout(root, distractors=extra)[1].splits["gallery"], root) == [
        ("jpg/b_2.jpg",), ("jpg/a_3.jpg",), ("revisitop1m/x/1.jpg",), ("revisitop1m/x/q_1.jpg",)]
    shutil.rmtree(extra)
    os.remove(str(tmp_path / "jpg" / "a_3.jpg"))
    with pytest.raises(InputError, match="names 3 images of which 1 are not below .*, e.g. a_3"):
        read_layout(root)
    with open(str(tmp_path / file), "wb") as stream:
        pickle.dump({"imlist": []}, stream)
    with pytest.raises(InputError, match="is not the revisited ground truth"):
        read_layout(root)


def test_holidays(photos):
    root = photos("jpg/100000.jpg", "jpg/100001.jpg", "jpg/100101.jpg", "jpg/100100.jpg", "jpg/100102.jpg")
    name, found = read_layout(root)
    assert name == found.protocol == "holidays"
    assert rows(found.splits["query"], root, "label") == [("jpg/100000.jpg", "1000"), ("jpg/100100.jpg", "1001")]
    assert found.splits["gallery"].columns["label"] == ["1000", "1000", "1001", "1001", "1001"]
    photos("jpg/100201.jpg")
    with pytest.raises(InputError, match="the group of 1002xx.jpg lacks its query 100200.jpg"):
        read_layout(root)
    photos("jpg/extra.jpg")
    with pytest.raises(InputError, match="1 of 7 images are not called as 100000.jpg is, e.g. extra.jpg"):
        read_layout(root, "holidays")


def test_ukbench(photos):
    root = photos(*["full/ukbench{:05d}.jpg".format(i) for i in range(8)])
    name, found = read_layout(root)
    assert name == found.protocol == "ukbench" and found.splits["query"] is found.splits["gallery"]
    assert found.splits["query"].columns["label"] == ["00000"] * 4 + ["00001"] * 4
    photos("full/ukbench00008.jpg")
    with pytest.raises(InputError, match="1 of 3 objects have not four images, e.g. ukbench00008.jpg"):
        read_layout(root)


def test_cub(cub):
    for path in (cub, os.path.dirname(cub)):  # the folder or the one above
        name, found = read_layout(path)
        assert name == found.protocol == "cub200" and found.splits["query"] is found.splits["gallery"]
        assert set(found.splits["train"].columns["label"]) == {"001.Black_footed_Albatross", "100.Brown_Pelican"}
        assert set(found.splits["query"].columns["label"]) == {"101.White_Pelican", "200.Common_Yellowthroat"}
        assert found.splits["train"].load(0).shape == (10, 12, 3)  # whole images, as published results are
    _, found = read_layout(cub, boxes=True)
    assert found.splits["train"].columns["box"][0] == "2 1 8 6" and found.splits["train"].load(0).shape == (5, 6, 3)


def test_cub_with_a_broken_list(cub, text):
    text("CUB_200_2011/image_class_labels.txt", "1 1\n2\n")
    with pytest.raises(InputError, match="image_class_labels.txt line 2: 1 words where 2 are expected"):
        read_layout(cub)
    text("CUB_200_2011/image_class_labels.txt", "1 1\n")
    with pytest.raises(InputError, match="image 2 .* has no class"):
        read_layout(cub)


def annotations(image, classes, names, folder=""):
    """Return the struct array that MATLAB saves: one record an image."""
    kinds = [(image, object)] + [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class")]
    records = np.zeros((1, len(names)), kinds)
    for i, (name, number) in enumerate(zip(names, classes)):
        records[0, i] = (folder + name, 3, 2, 10, 9, number)
    return records


@pytest.fixture
def car_names():
    return np.array(["AM General {}".format(i) for i in range(1, 197)], object).reshape(1, -1)


@pytest.mark.parametrize("form", ["one", "devkit"])
def test_cars_lists(photos, tmp_path, car_names, form):
    names = ["000001.jpg", "000002.jpg", "000003.jpg"]
    os.makedirs(str(tmp_path / "devkit"))
    if form == "one":
        photos(*names, folder="car_ims")
        savemat(str(tmp_path / "cars_annos.mat"), {"annotations": annotations(
            "relative_im_path", [98, 99, 1], names, "car_ims/"), "class_names": car_names})
    else:
        photos(*names[:2], folder="cars_train")
        photos(names[0], folder="cars_test")
        savemat(str(tmp_path / "devkit" / "cars_train_annos.mat"), {"annotations": annotations(
            "fname", [98, 99], names[:2])})
        savemat(str(tmp_path / "devkit" / "cars_test_annos_withlabels.mat"), {"annotations": annotations(
            "fname", [1], names[:1])})
    savemat(str(tmp_path / "devkit" / "cars_meta.mat"), {"class_names": car_names})
    name, found = read_layout(str(tmp_path))
    assert name == found.protocol == "cars196"
    where = ["car_ims/000001.jpg", "car_ims/000003.jpg", "car_ims/000002.jpg"] if form == "one" else [
        "cars_train/000001.jpg", "cars_test/000001.jpg", "cars_train/000002.jpg"]
    assert rows(found.splits["train"], str(tmp_path), "label") == [
        (where[0], "AM General 98"), (where[1], "AM General 1")]
    assert rows(found.splits["query"], str(tmp_path), "label") == [(where[2], "AM General 99")]
    _, found = read_layout(str(tmp_path), boxes=True)
    assert found.splits["query"].columns["box"] == ["2 1 10 9"]  # from 1 and inclusive, there
    assert found.splits["query"].load(0).shape == (8, 8, 3)


def test_cars_without_the_labels_of_the_test_images(photos, tmp_path, car_names):
    photos("000001.jpg", folder="cars_train")
    savemat(str(tmp_path / "cars_train_annos.mat"), {"annotations": annotations("fname", [1], ["000001.jpg"])})
    with pytest.raises(InputError, match="holds no cars_test_annos_withlabels.mat"):
        read_layout(str(tmp_path))
    unlabelled = np.zeros((1, 1), [("fname", object), ("bbox_x1", object)])
    savemat(str(tmp_path / "cars_test_annos_withlabels.mat"), {"annotations": unlabelled})
    with pytest.raises(InputError, match="expected relative_im_path or fname and class"):
        read_layout(str(tmp_path))
    with open(str(tmp_path / "cars_train_annos.mat"), "wb") as stream:
        stream.write(b"x" * 200)
    with pytest.raises(InputError, match="cars_train_annos.mat is no .mat file"):
        read_layout(str(tmp_path))


def test_cars_in_folders(photos):
    names = ["Car {:03d}".format(i) for i in range(196)]
    root = photos(*["{}/{}/1.jpg".format("train" if i % 2 else "test", name) for i, name in enumerate(names)])
    name, found = read_layout(root, "cars196")
    assert sorted(found.splits["train"].columns["label"]) == names[:98]
    assert sorted(found.splits["query"].columns["label"]) == names[98:]


def test_products(photos, text):
    root = photos("bicycle_final/1_0.JPG", "bicycle_final/1_1.JPG", "sofa_final/2_0.JPG", folder="SOP")
    head = "image_id class_id super_class_id path\n"
    text("SOP/Ebay_train.txt", head + "1 1 1 bicycle_final/1_0.JPG\n2 1 1 bicycle_final/1_1.JPG\n")
    text("SOP/Ebay_test.txt", head + "59552 11319 9 sofa_final/2_0.JPG\n")
    name, found = read_layout(root)
    assert name == found.protocol == "sop"
    assert rows(found.splits["train"], root, "label", "super_class") == [
        ("bicycle_final/1_0.JPG", "1", "bicycle"), ("bicycle_final/1_1.JPG", "1", "bicycle")]
    assert rows(found.splits["gallery"], root, "label", "super_class") == [("sofa_final/2_0.JPG", "11319", "sofa")]


def test_omniglot_and_its_rotations(photos):
    root = photos("images_background/Greek/character01/0709_01.png", "images_background/Greek/character02/0710_01.png",
                  *["images_evaluation/Angelic/character01/0965_0{}.png".format(i) for i in (1, 2)])
    name, found = read_layout(root)
    assert (name, found.protocol) == ("omniglot", "classes")
    assert found.splits["train"].columns["label"] == ["Greek/character01", "Greek/character02"]
    assert found.splits["query"].columns == {"label": ["Angelic/character01"] * 2, "alphabet": ["Angelic"] * 2}
    _, turned = read_layout(root, rotations=True)
    train = turned.splits["train"]
    assert sorted(set(train.columns["label"]))[:4] == [
        "Greek/character01", "Greek/character01_180", "Greek/character01_270", "Greek/character01_90"]
    assert len(train) == 8 and len(turned.splits["query"]) == 2
    assert np.array_equal(train.load(2), np.rot90(train.load(0)))
    photos("images_evaluation/stray.png")
    with pytest.raises(InputError, match="expected <alphabet>/<character>/<image>, got stray.png"):
        read_layout(root)


def test_inshop(photos, text):
    images = ["img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "img/MEN/Denim/id_00000080/01_1_front.jpg",
              "img/MEN/Denim/id_00000080/01_2_side.jpg"]
    root = photos(*images, folder="Img")
    table = ("3\nimage_name item_id evaluation_status\n" + images[0] + "   id_00000002 train\n" + images[1] +
             " id_00000080 query\n" + images[2] + " id_00000080 gallery\n")
    text("Eval/list_eval_partition.txt", table)
    name, found = read_layout(os.path.dirname(root))
    assert name == found.protocol == "inshop"
    assert [rows(found.splits[split], root, "label", "category") for split in ("train", "query", "gallery")] == [
        [(images[0], "id_00000002", "Dresses")], [(images[1], "id_00000080", "Denim")],
        [(images[2], "id_00000080", "Denim")]]
    text("Eval/list_eval_partition.txt", table.replace("gallery", "test"))
    with pytest.raises(InputError, match="has the status 'test'"):
        read_layout(os.path.dirname(root))
    shutil.rmtree(root)
    with pytest.raises(InputError, match="holds no folder img"):
        read_layout(os.path.dirname(root))


def item(style, box, category="short sleeve top"):
    return {"category_name": category, "category_id": 1, "style": style, "bounding_box": box, "landmarks": [1, 2, 0]}


def test_deepfashion2(photos, text):
    root = photos("train/image/000001.jpg", "train/image/000002.jpg", "validation/image/000001.jpg",
                  "validation/image/000002.jpg")
    for name, content in [
            ("train/annos/000001", {"source": "user", "pair_id": 1, "item1": item(1, [0, 0, 5, 6])}),
            ("train/annos/000002", {"source": "shop", "pair_id": 1, "item1": item(1, [1, 1, 12, 10]),
                                    "item2": item(0, [0, 0, 4, 4])}),
            ("validation/annos/000001", {"source": "user", "pair_id": 7, "item1": item(2, [2, 2, 8, 9], "shorts"),
                                         "item2": item(0, [0, 0, 4, 4])}),
            ("validation/annos/000002", {"source": "shop", "pair_id": 7, "item1": item(2, [0, 0, 6, 6], "shorts"),
                                         "item2": item(0, [6, 6, 12, 10])})]:
        text(name + ".json", json.dumps(content))
    name, found = read_layout(root)
    assert name == found.protocol == "deepfashion2"
    columns = "label", "pair_id", "style", "source", "category", "box"
    assert rows(found.splits["train"], root, *columns) == [
        ("train/image/000001.jpg", "1_1", "1", "1", "user", "short sleeve top", "0 0 5 6"),
        ("train/image/000002.jpg", "1_1", "1", "1", "shop", "short sleeve top", "1 1 12 10")]
    assert rows(found.splits["query"], root, *columns) == [
        ("validation/image/000001.jpg", "7_2", "7", "2", "user", "shorts", "2 2 8 9")]
    assert rows(found.splits["gallery"], root, *columns) == [
        ("validation/image/000002.jpg", "7_2", "7", "2", "shop", "shorts", "0 0 6 6"),
        ("validation/image/000002.jpg", "7_0_000002_item2", "7", "0", "shop", "short sleeve top", "6 6 12 10")]
    assert found.splits["gallery"].load(1).shape == (4, 6, 3)
    text("validation/annos/000002.json", '{"source": "shop", "pair_id": 7, "item1": {"style": 1}}')
    with pytest.raises(InputError, match="000002.json is not of DeepFashion2's form: .*category_name"):
        read_layout(root)
    text("validation/annos/000002.json", "{")
    with pytest.raises(InputError, match="000002.json is not valid JSON"):
        read_layout(root)


def test_market(photos, text):
    root = photos("bounding_box_train/0002_c1s1_000451_03.jpg", "query/0001_c1s1_001051_00.jpg",
                  "bounding_box_test/0001_c2s1_000301_00.jpg", "bounding_box_test/-1_c1s1_000401_03.jpg",
                  "bounding_box_test/0000_c6s3_000001_01.jpg")
    text("bounding_box_train/Thumbs.db", "x")
    name, found = read_layout(root)
    assert name == found.protocol == "market1501"
    assert rows(found.splits["train"], root, "label", "camera") == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", "0002", "1")]
    assert rows(found.splits["gallery"], root, "label", "camera") == [
        ("bounding_box_test/-1_c1s1_000401_03.jpg", "-1", "1"),
        ("bounding_box_test/0000_c6s3_000001_01.jpg", "0000", "6"),
        ("bounding_box_test/0001_c2s1_000301_00.jpg", "0001", "2")]
    photos("query/me.jpg")
    with pytest.raises(InputError, match="the image me.jpg is not called <identity>_c<camera>"):
        read_layout(root)


def test_veri(photos):
    root = photos("image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg",
                  "image_test/0002_c020_00030640_0.jpg")
    name, found = read_layout(root)
    assert name == found.protocol == "veri"
    assert rows(found.splits["gallery"], root, "label", "camera") == [
        ("image_test/0002_c020_00030640_0.jpg", "0002", "20")]


def test_landmarks(landmarks, text):
    name, found = read_layout(landmarks)
    assert (name, found.protocol) == ("landmarks_v2", "landmarks_v2")
    assert found.files == {found.ground_truth: "id,images,Usage\n{},{} {},Private\n".format(IDS[3], IDS[2], IDS[1])}
    assert rows(found.splits["train"], landmarks, "label") == [("train/0/1/2/0123456789abcdef.jpg", "7")]
    assert rows(found.splits["query"], landmarks, "label", "usage") == [
        ("test/a/a/a/aaaabbbbccccdddd.jpg", "42", "Private")]
    assert rows(found.splits["gallery"], landmarks, "label") == [
        ("index/4/4/4/4444444444444444.jpg", "41"), ("index/f/e/d/fedcba9876543210.jpg", "42")]
    assert any(note.startswith("1 test images without matches") for note in found.notes)
    text("metadata/train_clean.csv", "landmark_id,images\n9,{} {}\n".format(IDS[0], IDS[1]))
    assert read_layout(landmarks)[1].splits["train"].columns["label"] == ["9", "9"]


def test_landmarks_without_the_training_images_or_the_labels_of_the_index(landmarks, text):
    shutil.rmtree(os.path.join(landmarks, "train"))
    os.remove(os.path.join(landmarks, "metadata/index_image_to_landmark.csv"))
    with pytest.raises(InputError, match="holds neither index_image_to_landmark.csv nor index.csv"):
        read_layout(landmarks)
    text("metadata/index.csv", "id\n{}\n".format(IDS[1]))
    _, found = read_layout(landmarks)
    assert sorted(found.splits) == ["gallery", "query"] and found.splits["gallery"].columns["label"] == ["unknown"]


def idx(count, shape, values):
    magic = 2051 if shape else 2049
    return struct.pack(">{}I".format(2 + len(shape)), magic, count, *shape) + bytes(bytearray(values))


def test_mnist_family(tmp_path):
    for part, count in [("train", 20), ("test", 30)]:
        prefix = str(tmp_path / "emnist-letters-{}".format(part))
        with open(prefix + "-images-idx3-ubyte", "wb") as stream:
            stream.write(idx(count, (1, 1), range(count)))
        with open(prefix + "-labels-idx1-ubyte", "wb") as stream:
            stream.write(idx(count, (), [i % 5 for i in range(count)]))
    name, found = read_layout(str(tmp_path), seed=3)
    assert (name, found.reader, found.protocol) == ("mnist", "idx", "classes")
    train, test = "emnist-letters-train", "emnist-letters-test"
    assert found.sources == {"train": (train, [0.0, 0.9]), "validation": (train, [0.9, 1.0]),
                             "query": (test, [0.0, 0.1]), "gallery": (test, [0.1, 1.0])}
    seen = {split: [int(table.load(i)[0, 0, 0]) for i in range(len(table))] for split, table in found.splits.items()}
    assert sorted(seen["train"] + seen["validation"]) == list(range(20)) and len(seen["validation"]) == 2
    assert sorted(seen["query"] + seen["gallery"]) == list(range(30)) and len(seen["query"]) == 3
