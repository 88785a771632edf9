import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
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


def slow_positive(scores, k):
    result = []
    for row in scores:
        ids = sorted((i for i in range(len(row)) if row[i] > 0), key=lambda i: (-row[i], i))[:k]
        result.append(ids + [-1] * (k - len(ids)))
    return np.array(result)


@pytest.mark.parametrize("k", [1, 3, 12, 20])
def test_positive_scores_are_ordered_by_score_and_id(k):
    """Scores from a few values, so that many tie, also at the cut; values far from 1 in both directions."""
    random = np.random.RandomState(0)
    scores = random.choice([-2.0, 0.0, 1e-30, 0.25, 0.5, 1.0, 3e20], size=(40, 12)).astype(np.float32)
    expected = slow_positive(scores, k)
    before = scores.copy()
    found = order.best(scores, k, positive=True)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(order.best(np.asfortranarray(scores), k, positive=True), expected)
    np.testing.assert_array_equal(order.best(sparse.csr_matrix(scores), k, positive=True), expected)
    np.testing.assert_array_equal(scores, before)


def test_best_takes_a_sparse_matrix_whose_rows_are_not_sorted():
    scores = sparse.csr_matrix((np.float32([1, 2, 2]), [3, 2, 0], [0, 3, 3]), shape=(2, 4))
    np.testing.assert_array_equal(order.best(scores, 3), [[0, 2, 3], [-1, -1, -1]])


def test_best_refuses_no_depth():
    with pytest.raises(InputError, match="k is 0; a ranking needs at least 1 place"):
        order.best(np.ones((1, 3), np.float32), 0)


def test_complete_appends_what_has_not_come():
    first = np.array([[4, 2, -1], [-1, -1, -1], [0, 1, 2]])
    plain = np.array([[1, 2, 3, 4], [3, 1, -1, -1], [2, 1, 0, 5]])
    np.testing.assert_array_equal(order.complete(first, plain, 5),
                                  [[4, 2, 1, 3, -1], [3, 1, -1, -1, -1], [0, 1, 2, 5, -1]])
    np.testing.assert_array_equal(order.complete(first, plain, 2), [[4, 2], [3, 1], [0, 1]])
    np.testing.assert_array_equal(order.complete(first, plain, 3, without=[4, 1, 5]),
                                  [[2, 1, 3], [3, -1, -1], [0, 1, 2]])
