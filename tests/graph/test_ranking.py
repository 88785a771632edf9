import numpy as np

from slim_retrieval.graph import ranking

GALLERY = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)


def test_rank_is_best_first_and_padded():
    np.testing.assert_array_equal(ranking.rank(GALLERY[[0, 1]], GALLERY, 4), [[0, 2, 1, -1], [1, 2, 0, -1]])
    assert ranking.rank(GALLERY, GALLERY, 2).dtype == np.int32


def test_default_depth():
    assert [ranking.default_depth(n) for n in (1, 10000, 10001, 10**6)] == [1, 10000, 1000, 1000]
