import struct

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.factory import READERS, SPLITS, check_disjoint, part_rows, read_split, split_exists


def _data(tmp_path, reader="idx", **splits):
    data = {"reader": reader, "path": str(tmp_path)}
    for name in SPLITS:
        source, part = splits.get(name, ("", [0.0, 1.0]))
        data[name] = {"source": source, "part": part}
    return data


def _idx(tmp_path, count=23):
    # Row i's image is one pixel of value i.
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 1, 1) + bytes(range(count)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + bytes(count))


def test_every_reader_is_known_and_reached(tmp_path):
    assert sorted(READERS) == ["cifar", "csv", "folder", "idx", "tfrecord"]
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (2, 2)).save(str(tmp_path / "cat" / "1.png"))
    (tmp_path / "list.csv").write_text("path,label\ncat/1.png,feline\n")
    table = read_split(_data(tmp_path, "folder", train=(".", [0, 1])), "train", 0)
    assert table.columns["label"] == ["cat"]
    assert read_split(_data(tmp_path, "csv", query=("list.csv", [0, 1])), "query", 0).columns["label"] == ["feline"]


def test_a_full_part_is_every_row_in_order(tmp_path):
    _idx(tmp_path)
    table = read_split(_data(tmp_path, train=("t10k", [0.0, 1.0])), "train", 3)
    assert [int(table.load(i)[0, 0, 0]) for i in range(23)] == list(range(23))


@pytest.mark.parametrize("seed", [0, 1])
def test_parts_that_touch_are_disjoint_complete_and_in_order(tmp_path, seed):
    _idx(tmp_path)
    data = _data(tmp_path, train=("t10k", [0.0, 0.1]), validation=("t10k", [0.1, 0.37]),
                 query=("t10k", [0.37, 0.5]), gallery=("t10k", [0.5, 1.0]))
    found = []
    for split in SPLITS:
        table = read_split(data, split, seed)
        rows = [int(table.load(i)[0, 0, 0]) for i in range(len(table))]
        assert rows == sorted(rows)
        assert table.paths == ["t10k/{:06d}".format(row) for row in rows]
        found += rows
    assert sorted(found) == list(range(23))
    assert found != list(range(23))  # cut from a shuffle, not from the order of the file


def test_any_boundary_cuts_cleanly_and_evenly():
    random = np.random.RandomState(0)
    for _ in range(200):
        count, cuts = random.randint(1, 50), np.sort(random.rand(3)).tolist()
        edges = [0.0] + cuts + [1.0]
        parts = [part_rows(count, a, b, 5) for a, b in zip(edges[:-1], edges[1:])]
        assert sorted(np.concatenate(parts)) == list(range(count))
        for part, a, b in zip(parts, edges[:-1], edges[1:]):
            assert abs(len(part) - (b - a) * count) <= 1


def test_nearly_equal_boundaries_are_one_boundary():
    # 0.1 + 0.2 is 0.30000000000000004; with 5 images, 0.3 lies at the rounding point 1.5.
    low, high = part_rows(5, 0.0, 0.3, 0), part_rows(5, 0.1 + 0.2, 1.0, 0)
    assert sorted(np.concatenate([low, high])) == list(range(5))
    assert len(part_rows(5, 0.0, 0.3 - 1e-16, 0)) == len(low)


def test_the_seed_decides_the_part():
    assert part_rows(100, 0, 0.5, 1).tolist() == part_rows(100, 0, 0.5, 1).tolist()
    assert part_rows(100, 0, 0.5, 1).tolist() != part_rows(100, 0, 0.5, 2).tolist()


def test_split_exists(tmp_path):
    data = _data(tmp_path, train=("t10k", [0, 1]))
    assert split_exists(data, "train")
    assert not split_exists(data, "query")


@pytest.mark.parametrize("change, split, message", [
    ({"path": ""}, "train", "data.path is empty; .*--data.path"),
    ({"path": "no/where"}, "train", "there is no no/where; give the folder with --data.path DIR$"),
    ({"path": "~/none/Fashion-MNIST"}, "train", "python -m slim_retrieval.datasets.fashion_mnist"),
    ({"path": "emoji/elsewhere"}, "train", "there is no emoji/elsewhere; give the folder with --data.path DIR$"),
    ({"path": "none/emoji/"}, "train", "to make the emoji pairs: python -m slim_retrieval.datasets.emoji$"),
    ({"reader": "idex"}, "train", "unknown data.reader 'idex' .did you mean idx.*csv, folder, idx, tfrecord"),
    ({}, "query", "data.query.source is empty"),
    ({}, "test", "unknown split 'test'"),
    ({"train": {"source": "t10k", "part": [0.5, 0.5]}}, "train", r"data.train.part: \[0.5, 0.5\] is no range"),
    ({"train": {"source": "t10k", "part": [0.0]}}, "train", r"data.train.part: \[0.0\] is no range"),
    ({"train": {"source": "t10k", "part": [0.5, 0.501]}}, "train", r"part \[0.5, 0.501\] of 23 images is empty"),
])
def test_what_cannot_be_read_is_explained(tmp_path, change, split, message):
    _idx(tmp_path)
    data = dict(_data(tmp_path, train=("t10k", [0, 1])), **change)
    with pytest.raises(InputError, match=message) as info:
        read_split(data, split, 0)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("one, other", [
    ("query", "gallery"), ("train", "validation"), ("validation", "query"), ("validation", "gallery"),
    ("train", "query")])
def test_overlapping_parts_are_refused_with_both_ranges(tmp_path, one, other):
    data = _data(tmp_path, **{one: ("t10k", [0.0, 0.2]), other: ("./t10k", [0.1, 1.0])})
    with pytest.raises(InputError) as info:
        check_disjoint(data)
    for text in [one, other, "[0.0, 0.2]", "[0.1, 1.0]", "t10k"]:
        assert text in str(info.value)


def test_parts_that_touch_other_sources_and_absent_splits_are_fine(tmp_path):
    check_disjoint(_data(tmp_path))
    check_disjoint(_data(tmp_path, query=("t10k", [0, 0.1]), gallery=("t10k", [0.1, 1]), train=("train", [0, 0.9]),
                         validation=("train", [0.9, 1])))
    check_disjoint(_data(tmp_path, query=("q", [0, 1]), gallery=("g", [0, 1])))
    check_disjoint(_data(tmp_path, train=("all", [0, 1]), gallery=("all", [0, 1])))
