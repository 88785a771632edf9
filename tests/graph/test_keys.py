import numpy as np
import pytest

from slim_retrieval.graph import keys


def test_minus_zero_ties_with_zero():
    scores = np.array([[0.0, -0.0, -0.25, 0.5, -0.0]], np.float32)
    ids, sorted_scores = keys.decode(np.sort(keys.encode(scores, np.arange(5)), axis=1))
    np.testing.assert_array_equal(ids, [[3, 0, 1, 4, 2]])
    np.testing.assert_array_equal(sorted_scores, [[0.5, 0, 0, 0, -0.25]])


@pytest.mark.parametrize("spread", [0, -30, 30])
def test_keys_sort_as_pairs_of_score_and_id_do(spread):
    """Scores of any size, few of them, so that many tie."""
    random = np.random.RandomState(0)
    scores = (random.randint(-3, 4, 200) * 10.0 ** spread).astype(np.float32)
    ids = random.permutation(2**31 - 1 - np.arange(200))
    expected = sorted(zip(-scores, ids))
    found, values = keys.decode(np.sort(keys.encode(scores, ids)))
    np.testing.assert_array_equal(found, [i for _, i in expected])
    np.testing.assert_array_equal(values, [-s for s, _ in expected])


def test_missing_comes_last_and_decodes_to_minus_one():
    found = np.sort(np.append(keys.encode(np.float32([-3e38, 3e38]), np.array([2**31 - 1, 0])), keys.MISSING))
    ids, scores = keys.decode(found)
    np.testing.assert_array_equal(ids, [0, 2**31 - 1, -1])
    np.testing.assert_array_equal(scores, np.float32([3e38, -3e38, -1]))
