import collections

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.splits import SHARES, choose_mode, split_rows


def classes_of(parts, labels):
    return {split: {labels[row] for row in rows} for split, rows in parts.items()}


def random_labels(seed):
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 40, 30)
    return random.permutation(np.repeat(["c{}".format(i) for i in range(30)], sizes))


@pytest.mark.parametrize("mode", ["images", "classes"])
@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_in_exactly_one_split_and_the_seed_decides(mode, seed):
    labels = random_labels(seed)
    parts = split_rows(labels, mode, SHARES, seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    again, other = split_rows(labels, mode, SHARES, seed), split_rows(labels, mode, SHARES, seed + 1)
    assert all(np.array_equal(parts[split], again[split]) for split in parts)
    assert any(not np.array_equal(parts[split], other[split]) for split in parts)


@pytest.mark.parametrize("seed", range(5))
def test_images_mode_gives_each_class_its_share_to_within_one_image(seed):
    labels = np.repeat(list("abcdef"), [200, 100, 40, 41, 97, 20])
    parts = split_rows(labels, "images", SHARES, seed)
    for name, size in collections.Counter(labels).items():
        for split, share in SHARES.items():
            assert abs((labels[parts[split]] == name).sum() - share * size) <= 1
    # Within each split the shares hold over all classes too, better than class by class.
    assert abs(len(parts["train"]) - 0.6 * len(labels)) <= 4


@pytest.mark.parametrize("seed", range(20))
def test_classes_mode_keeps_the_classes_apart_and_every_tested_class_can_be_answered(seed):
    labels = random_labels(seed)
    parts = split_rows(labels, "classes", SHARES, seed)
    known = classes_of(parts, labels)
    tested = known["query"] | known["gallery"]
    assert not known["train"] & known["validation"] and not (known["train"] | known["validation"]) & tested
    assert (len(known["train"]), len(known["validation"]), len(tested)) == (18, 3, 9)
    sizes = collections.Counter(labels)
    assert known["query"] == {name for name in tested if sizes[name] > 1}
    assert known["query"] <= known["gallery"]


@pytest.mark.parametrize("seed", range(20))
def test_images_mode_leaves_no_query_without_a_match(seed):
    labels = random_labels(seed)
    known = classes_of(split_rows(labels, "images", SHARES, seed), labels)
    assert known["query"] <= known["gallery"]


def test_roles_are_kept():
    labels = np.repeat(np.arange(40).astype(str), 6)
    roles = np.tile(["query", "query", "gallery", "gallery", "gallery", "gallery"], 40)
    for mode in ("images", "classes"):
        parts = split_rows(labels, mode, SHARES, 0, roles)
        assert set(roles[parts["query"]]) == {"query"} and set(roles[parts["gallery"]]) == {"gallery"}
        assert set(roles[parts["train"]]) == {"query", "gallery"}
    # By classes, all photos of a tested class are used: 12 of 40 classes, 2 and 4 photos each.
    assert (len(parts["query"]), len(parts["gallery"])) == (24, 48)


@pytest.mark.parametrize("seed", range(20))
def test_twins_of_one_class_stay_together(seed):
    random = np.random.RandomState(seed)
    labels = np.repeat(list("abc"), 40)
    twins = np.concatenate([random.randint(0, 15, 40) + 100 * i for i in range(3)])
    parts = split_rows(labels, "images", dict(SHARES, query=0.15, gallery=0.15), seed, twins=twins)
    seen = collections.defaultdict(set)
    for split, rows in parts.items():
        for row in rows:
            seen[twins[row]].add(split)
    assert max(map(len, seen.values())) == 1


def test_shares_of_nothing():
    labels = np.repeat(list("abcdef"), 10)
    parts = split_rows(labels, "images", {"train": 0, "validation": 0, "query": 0.2, "gallery": 0.8}, 0)
    assert {split: len(rows) for split, rows in parts.items()} == {"query": 12, "gallery": 48}
    parts = split_rows(labels, "classes", {"train": 0.5, "validation": 0, "query": 0.1, "gallery": 0.4}, 0)
    assert {split: len(rows) for split, rows in parts.items()} == {"train": 30, "query": 6, "gallery": 24}


def test_few_classes():
    labels = np.repeat(list("abcdef"), 5)
    known = classes_of(split_rows(labels, "classes", SHARES, 0), labels)
    assert [len(known[split]) for split in ("train", "validation", "gallery")] == [2, 2, 2]
    with pytest.raises(InputError, match="5 classes are too few to divide by classes"):
        split_rows(labels[:25], "classes", SHARES, 0)


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1, 0.2), (1.2, -0.2, 0, 0), (0.9, 0.1, 0, 0), (0.9, 0, 0.1, 0)])
def test_shares_that_are_none(shares):
    with pytest.raises(InputError, match="--shares .*add up to 1"):
        split_rows(["a", "b"], "images", dict(zip(SHARES, shares)), 0)


def test_mode_is_chosen_by_the_size_of_most_classes():
    assert choose_mode(np.repeat(np.arange(20), 30)) == "images"
    assert choose_mode(np.repeat(np.arange(20), 4)) == "classes"
    assert choose_mode(np.repeat(np.arange(5), 4)) == "images"
