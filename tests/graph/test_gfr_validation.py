"""Held-out classes, and the mAP that GFR's choices are made by."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_validation


def test_each_class_is_held_out_once_and_never_learned_from_meanwhile():
    labels = np.repeat(np.arange(11), [1, 2, 2, 3, 3, 4, 5, 9, 9, 30, 40])
    pairs = gfr_validation.folds(labels, seed=3)
    held = [set(labels[judged]) for _, judged in pairs]
    assert held[0] | held[1] == set(range(1, 11)) and not held[0] & held[1]  # class 0 has one image
    np.testing.assert_array_equal(np.sort(np.concatenate([rows for rows, _ in pairs])), np.arange(len(labels)))
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


def test_halves_deal_out_pairs_and_leave_single_images_out():
    labels = np.repeat(np.arange(5), [1, 2, 2, 7, 40])
    rows = gfr_validation.halves(labels, seed=0)
    both = np.concatenate(rows)
    np.testing.assert_array_equal(np.sort(both), np.flatnonzero(labels > 0))
    counts = [np.bincount(labels[part], minlength=5) for part in rows]
    assert counts[0][1] in (0, 2) and counts[0][2] == 2 - counts[0][1]
    assert sorted([counts[0][3], counts[1][3]]) == [3, 4] and counts[0][4] == counts[1][4] == 20
    assert len(gfr_validation.halves(np.array([0, 0, 1, 2]), seed=0)) == 1


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
    judged = gfr_validation.judge([(x, labels), (x[::2], labels[::2])])
    assert gfr_validation.mean(judged) == pytest.approx((found + slow_map(x[::2], labels[::2])) / 2, abs=1e-6)


def test_ahead_is_a_matter_of_the_spread_of_the_differences():
    base = [np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.1, 0.9])]
    same_gain = [values + 0.01 for values in base]
    assert gfr_validation.ahead(same_gain, base) and not gfr_validation.ahead(base, base)
    assert not gfr_validation.ahead(base, same_gain)
    uneven = [base[0] + [0.3, -0.3, 0.3, -0.1], base[1] + [0.1, 0.0]]
    # Means .05 and .05; variances .0675 of four and .0025 of two: the error is sqrt(.016875 + .00125) / 2 = .0673.
    assert gfr_validation.mean(uneven) == pytest.approx(gfr_validation.mean(base) + 0.05)
    assert not gfr_validation.ahead(uneven, base)
    wide = [np.tile(values, 9) for values in uneven], [np.tile(values, 9) for values in base]
    assert gfr_validation.ahead(*wide)  # .0673 / 3 = .0224, twice that is below .05
    assert gfr_validation.best({0: base, 1: uneven, 2: same_gain}, base=0) == 0
    assert gfr_validation.best({0: base, 2: same_gain}, base=0) == 2
