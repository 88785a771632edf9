import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import completion


def slow_best(scores, k):
    result = []
    for row in scores:
        ids = sorted((i for i in range(len(row)) if row[i] > 0), key=lambda i: (-row[i], i))[:k]
        result.append(ids + [-1] * (k - len(ids)))
    return np.array(result)


@pytest.mark.parametrize("k", [1, 3, 12, 20])
def test_best_orders_positive_scores_by_score_and_id(k):
    """Scores from a few values, so that many tie, also at the cut; values far from 1 in both directions."""
    random = np.random.RandomState(0)
    scores = random.choice([-2.0, 0.0, 1e-30, 0.25, 0.5, 1.0, 3e20], size=(40, 12)).astype(np.float32)
    expected = slow_best(scores, k)
    before = scores.copy()
    found = completion.best(scores, k)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(completion.best(np.asfortranarray(scores), k), expected)
    np.testing.assert_array_equal(completion.best(sparse.csr_matrix(scores), k), expected)
    np.testing.assert_array_equal(scores, before)


def test_best_takes_a_sparse_matrix_whose_rows_are_not_sorted():
    scores = sparse.csr_matrix((np.float32([1, 2, 2]), [3, 2, 0], [0, 3, 3]), shape=(2, 4))
    np.testing.assert_array_equal(completion.best(scores, 3), [[0, 2, 3], [-1, -1, -1]])


def test_best_refuses_no_depth():
    with pytest.raises(InputError, match="k is 0; a ranking needs at least 1 place"):
        completion.best(np.ones((1, 3), np.float32), 0)


def test_complete_appends_what_has_not_come():
    first = np.array([[4, 2, -1], [-1, -1, -1], [0, 1, 2]])
    plain = np.array([[1, 2, 3, 4], [3, 1, -1, -1], [2, 1, 0, 5]])
    np.testing.assert_array_equal(completion.complete(first, plain, 5),
                                  [[4, 2, 1, 3, -1], [3, 1, -1, -1, -1], [0, 1, 2, 5, -1]])
    np.testing.assert_array_equal(completion.complete(first, plain, 2), [[4, 2], [3, 1], [0, 1]])
    np.testing.assert_array_equal(completion.complete(first, plain, 3, without=[4, 1, 5]),
                                  [[2, 1, 3], [3, -1, -1], [0, 1, 2]])
