import numpy as np
import pytest

from slim_retrieval.graph import order


def slow_best(row, k, left_out=None):
    ids = sorted((-score, j) for j, score in enumerate(row) if j != left_out)[:k]
    return [j for _, j in ids] + [-1] * (k - len(ids))


@pytest.mark.parametrize("k", [1, 3, 8, 9, 12])
@pytest.mark.parametrize("leave_out", [False, True])
def test_best_equals_a_slow_sort_ties_by_the_smaller_id(k, leave_out):
    scores = np.random.RandomState(0).randint(-2, 3, (20, 9)).astype(np.float32) / 2  # many ties
    left_out = np.arange(20) % 9 if leave_out else None
    expected = [slow_best(row, k, i % 9 if leave_out else None) for i, row in enumerate(scores)]
    ids = order.best(scores, k, left_out)
    np.testing.assert_array_equal(ids, expected)
    assert ids.dtype == np.int32


@pytest.mark.parametrize("values", [1, 45, 2**20])
def test_blocks_do_not_show(monkeypatch, values):
    scores = np.random.RandomState(1).uniform(-1, 1, (23, 9)).astype(np.float32)
    expected = order.best(scores, 4, np.arange(23) % 9)
    monkeypatch.setattr(order, "BLOCK_QUERIES", 2)
    monkeypatch.setattr(order, "BLOCK_VALUES", values)
    sizes = []

    def score(rows):
        sizes.append(len(scores[rows]))
        return scores[rows]

    np.testing.assert_array_equal(order.rank(score, 23, 9, 4, np.arange(23) % 9), expected)
    assert max(sizes) == min(23, max(2, values // 9)) and sum(sizes) == 23
