"""Held-out classes, and the mAP that GFR's choices are made by."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_validation


def test_each_class_is_held_out_once_and_never_learned_from_meanwhile():
    labels = np.repeat(np.arange(11), [1, 2, 2, 3, 3, 4, 5, 9, 9, 30, 40])
    pairs = gfr_validation.folds(labels, seed=3)
    held = [set(labels[judged]) for _, judged in pairs]
    assert held[0] | held[1] == set(range(1, 11)) and not held[0] & held[1]  # class 0 has one image
    for rows, judged in pairs:
        assert not set(labels[rows]) & set(labels[judged])
        assert len(set(labels[judged])) >= 2
    assert sorted(len(h) for h in held) == [5, 5]
    np.testing.assert_array_equal(gfr_validation.folds(labels, seed=3)[0][1], pairs[0][1])
    assert any(not np.array_equal(gfr_validation.folds(labels, seed)[0][1], pairs[0][1]) for seed in range(5))


def test_too_few_classes_are_not_cut():
    assert gfr_validation.folds(np.repeat(np.arange(3), 20), seed=0) == []
    assert gfr_validation.folds(np.concatenate([np.repeat(np.arange(3), 20), np.arange(3, 50)]), seed=0) == []


def test_subsets_keep_whole_classes_and_let_none_dominate():
    random = np.random.RandomState(0)
    small = np.repeat(np.arange(500), 4)
    rows = gfr_validation.subset(small, np.arange(2000), random, most=400)
    assert 400 <= len(rows) < 404 and (np.bincount(small[rows])[np.unique(small[rows])] == 4).all()
    large = np.repeat(np.arange(4), 3000)
    rows = gfr_validation.subset(large, np.arange(12000), random, most=1000)
    assert (np.bincount(large[rows]) == 250).all() and len(np.unique(rows)) == 1000
    np.testing.assert_array_equal(gfr_validation.subset(small, np.arange(50, 90), random), np.arange(50, 90))


def slow_map(x, labels):
    precisions = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        others.sort(key=lambda j: -float(x[i] @ x[j]))
        hits = [labels[j] == labels[i] for j in others]
        if any(hits):
            precisions.append(np.mean([sum(hits[:r + 1]) / (r + 1) for r in range(len(hits)) if hits[r]]))
    return np.mean(precisions)


@pytest.mark.parametrize("block", [3, 128])
def test_mean_average_precision_by_loops(block):
    x = np.random.RandomState(0).normal(size=(40, 5))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    labels = np.random.RandomState(1).randint(12, size=40)
    labels[0] = 50  # alone: not asked
    found = gfr_validation.mean_average_precision(x, labels, block)
    assert found == pytest.approx(slow_map(x, labels), abs=1e-6)
    assert gfr_validation.score([(x, labels), (x[::2], labels[::2])]) == pytest.approx(
        (found + slow_map(x[::2], labels[::2])) / 2, abs=1e-6)
