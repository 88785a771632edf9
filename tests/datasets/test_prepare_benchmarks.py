"""Benchmarks from their published layout to their protocol: what is right and what is junk, worked out by hand."""
import json
import os
import pickle

import numpy as np
import pytest

from slim_retrieval.common import config as configuration
from slim_retrieval.datasets import prepare
from slim_retrieval.evaluation import protocols
from slim_retrieval.evaluation.binding import bind
from slim_retrieval.evaluation.tables import read_table


@pytest.fixture(autouse=True)
def here(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(str(tmp_path_factory.mktemp("work")))


def judged(root, *words):
    """Prepare a miniature; return {query: (right images, junk images)} of the protocol that its config names.

    The ground truth meets the lists as it would meet the features of a run, which have the lists' columns.
    """
    prepare.main([root, "--output", "out"] + list(words))
    settings = configuration.resolve("out/config.yaml").evaluation
    query, gallery = (read_table(os.path.join("out", split + ".csv")) for split in ("query", "gallery"))
    if settings.ground_truth:
        truth = bind(protocols.read(settings.protocol, settings.ground_truth), query.column("path"),
                     gallery.column("path"), "out")
    else:
        truth = protocols.of_tables(settings.protocol, query, gallery)
    names = [os.path.splitext(os.path.basename(path))[0] for path in gallery.column("path")]
    found = {}
    for row, path in enumerate(query.column("path")):
        hits, junk = truth.relevance.judge(np.array([row]), np.arange(len(names))[np.newaxis])
        junk = np.zeros_like(hits) if junk is None else junk
        found[os.path.splitext(os.path.basename(path))[0]] = tuple(
            sorted(np.array(names)[mask[0]].tolist()) for mask in (hits, junk))
    return found


def test_oxford(oxford):
    assert judged(oxford) == {
        "all_souls_000013": (["all_souls_000013", "all_souls_000026"], ["ashmolean_000000"]),
        "ashmolean_000000": ([], [])}


def test_oxford_with_distractors(oxford, photos):
    more = photos("1/a.jpg", "2/a.jpg", folder="ox100k")
    found = judged(oxford, "--distractors", more)
    assert found["all_souls_000013"] == (["all_souls_000013", "all_souls_000026"], ["ashmolean_000000"])


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_revisited(photos, tmp_path, name):
    root = photos("jpg/q.jpg", "jpg/a.jpg", "jpg/b.jpg", "jpg/c.jpg", "jpg/d.jpg", folder="revisited")
    truth = {"imlist": ["d", "c", "b", "a"], "qimlist": ["q"],
             "gnd": [{"bbx": [1, 1, 8, 8], "easy": [3], "hard": [0], "junk": [1]}]}
    with open(os.path.join(root, "gnd_{}.pkl".format(name)), "wb") as stream:
        pickle.dump(truth, stream)
    assert judged(root) == {"q": (["a", "d"], ["c"])}  # medium: easy and hard


def test_holidays(photos):
    root = photos("100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg", "100102.jpg", folder="jpg")
    assert judged(root) == {"100000": (["100001"], ["100000"]),
                                         "100100": (["100101", "100102"], ["100100"])}


def test_ukbench_counts_the_query_itself(photos):
    names = ["ukbench{:05d}".format(i) for i in range(8)]
    root = photos(*[name + ".jpg" for name in names], folder="full")
    found = judged(root)
    assert found["ukbench00005"] == (names[4:], []) and len(found) == 8


def test_birds_search_all_others_of_the_second_half(cub):
    found = judged(cub, "--name", "birds")
    assert found == {"{}_{}".format(name, i): (["{}_{}".format(name, 3 - i)], ["{}_{}".format(name, i)])
                     for name in ("White_Pelican", "Common_Yellowthroat") for i in (1, 2)}


def test_market(photos):
    root = photos("bounding_box_train/0007_c1s1_000451_03.jpg", "bounding_box_train/0007_c2s1_000451_03.jpg",
                  "query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c1s1_000301_00.jpg",
                  "bounding_box_test/0001_c2s1_000301_00.jpg", "bounding_box_test/-1_c1s1_000401_03.jpg",
                  "bounding_box_test/-1_c3s1_000401_03.jpg", "bounding_box_test/0000_c2s3_000001_01.jpg", folder="m")
    assert judged(root) == {"0001_c1s1_001051_00": (
        ["0001_c2s1_000301_00"], ["-1_c1s1_000401_03", "-1_c3s1_000401_03", "0001_c1s1_000301_00"])}


def test_veri(photos):
    root = photos("image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg",
                  "image_test/0002_c002_00030605_0.jpg", "image_test/0002_c003_00030640_0.jpg", folder="veri")
    assert judged(root) == {"0002_c002_00030600_0": (["0002_c003_00030640_0"], ["0002_c002_00030605_0"])}


def test_deepfashion2_matches_pair_and_style_and_never_style_0(photos, text):
    def item(style):
        return {"category_name": "vest", "style": style, "bounding_box": [0, 0, 8, 8]}
    root = photos("validation/image/000001.jpg", "validation/image/000002.jpg", "validation/image/000003.jpg",
                  "validation/image/000004.jpg", folder="df2")
    for number, source, pair, style in [(1, "user", 5, 1), (2, "shop", 5, 1), (3, "shop", 5, 2), (4, "shop", 5, 0)]:
        text("df2/validation/annos/{:06d}.json".format(number),
             json.dumps({"source": source, "pair_id": pair, "item1": item(style)}))
    assert judged(root) == {"000001": (["000002"], [])}


def test_landmarks(landmarks):
    assert judged(landmarks, "--name", "gld") == {
        "aaaabbbbccccdddd": (["4444444444444444", "fedcba9876543210"], [])}


def test_a_validation_split_may_be_taken_from_a_benchmark(cub):
    with pytest.raises(SystemExit):  # two training classes are too few to give some away
        prepare.main([cub, "--output", "out", "--validation", "0.1"])
