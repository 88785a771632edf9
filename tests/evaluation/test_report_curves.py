import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from slim_retrieval.evaluation import relevance, report_curves


def random_case(seed, num_queries=7, num_gallery=30, k=30):
    """Rankings with pads, junk and a query without positives."""
    random = np.random.RandomState(seed)
    positives = [random.choice(num_gallery, random.randint(1, 9), replace=False) for _ in range(num_queries)]
    junk = [np.setdiff1d(random.choice(num_gallery, 4, replace=False), some) for some in positives]
    positives[2] = []
    ranks = np.array([random.permutation(num_gallery)[:k] for _ in range(num_queries)])
    for row, pads in enumerate(random.randint(0, k // 2, num_queries)):
        ranks[row, k - pads:] = -1
    return ranks, positives, junk, relevance.from_lists(positives, junk, num_gallery)


def without_junk(row, junk):
    return [i for i in row if i >= 0 and i not in set(junk)]


@pytest.mark.parametrize("seed", range(5))
def test_against_loops(seed):
    ranks, positives, junk, judged = random_case(seed)
    found = report_curves.measure(ranks, judged, depth=6, first=5)
    precision, recall, near = [], [], []
    for row, right, removed in zip(ranks, positives, junk):
        if not len(right):
            near.append(np.nan)
            continue
        kept = without_junk(row, removed)
        hits = [i in set(right) for i in kept]
        points = [(sum(hits[:n]) / len(right), sum(hits[:n]) / n) for n in range(1, len(kept) + 1)]
        precision.append([max([p for r, p in points if r >= level / 100 - 1e-9] or [0]) for level in range(101)])
        recall.append([sum(hits[:n]) / len(right) for n in range(1, ranks.shape[1] + 1)])
        near.append(sum(hits[:6]) / min(6, len(right)))
    np.testing.assert_allclose(found.precision, np.mean(precision, axis=0))
    np.testing.assert_allclose(found.recall, np.mean(recall, axis=0))
    np.testing.assert_allclose(found.near, near)
    assert found.marks == ["".join("j" if i in set(removed) else "c" if i in set(right) else "w"
                                   for i in row[:5] if i >= 0) for row, right, removed in zip(ranks, positives, junk)]


def test_interpolated_precision_is_that_of_scikit_learn():
    random = np.random.RandomState(0)
    ranks, right = random.permutation(40)[np.newaxis], random.choice(40, 7, replace=False)
    found = report_curves.measure(ranks, relevance.from_lists([right], None, 40))
    precision, recall, _ = precision_recall_curve(np.isin(ranks[0], right), -np.arange(40))
    for level in range(1, 101):  # its recall 0 has precision 1 by definition
        assert found.precision[level] == pytest.approx(precision[recall >= level / 100 - 1e-9].max())


def test_blocks_change_nothing(monkeypatch):
    ranks, _, _, judged = random_case(9)
    whole = report_curves.measure(ranks, judged)
    monkeypatch.setattr(report_curves, "PLACES_PER_BLOCK", 2 * ranks.shape[1])
    blocks = report_curves.measure(ranks, judged)
    for one, other in zip(whole[:3], blocks[:3]):
        np.testing.assert_allclose(one, other)
    assert whole.marks == blocks.marks


def test_nothing_found():
    found = report_curves.measure(np.array([[1, 2], [-1, -1]]), relevance.from_lists([[0], [0]], None, 3))
    assert not found.precision.any() and not found.recall.any() and found.marks == ["ww", ""]
    assert found.near.tolist() == [0, 0]


def test_perfect_recall():
    num_positives = np.array([1, 4, 0, 2])
    ranks = np.array([[0, 4, 5], [0, 1, 2], [0, 1, 2], [0, 1, 4]])
    best = report_curves.measure(ranks, relevance.from_lists([[0], [0, 1, 2, 3], [], [0, 1]], None, 6))
    np.testing.assert_allclose(report_curves.perfect_recall(num_positives, 3), best.recall)
    np.testing.assert_allclose(best.recall, [(1 + 1 / 4 + 1 / 2) / 3, (1 + 2 / 4 + 1) / 3, (1 + 3 / 4 + 1) / 3])


def test_bins_of_the_neighbourhood():
    near = np.array([0, 0.3, 0.31, 1, np.nan, 0.999])
    aps = np.array([[0.1, 0.2, 0.4, 1, np.nan, 0.8], [0, 0, 1, 0, np.nan, 0.5]])
    middle, count, means = report_curves.by_neighbours(near, aps)
    np.testing.assert_allclose(middle, [0.05, 0.35, 0.95])
    assert count.tolist() == [1, 2, 2]
    np.testing.assert_allclose(means, [[0.1, 0.3, 0.9], [0, 0.5, 0.25]])
