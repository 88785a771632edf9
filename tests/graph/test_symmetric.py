import numpy as np
from scipy import sparse

from slim_retrieval.graph import symmetric

DENSE = np.array([[0, .5, 0, .5], [.5, 0, .9, .7], [0, .9, 0, 0], [.5, .7, 0, 0]], np.float32)


def test_pairs_become_a_symmetric_matrix_of_the_largest_values():
    matrix = symmetric.from_pairs([0, 1, 2, 3, 1], [1, 0, 2, 1, 3], [.2, .6, .9, 0, .3], 4)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = .6  # in both directions: the larger
    expected[1, 3] = expected[3, 1] = .3  # 0 and .3
    np.testing.assert_allclose(matrix.toarray(), expected, atol=1e-7)  # (2, 2) joins nothing
    assert matrix.dtype == np.float32 and matrix.nnz == 4 and matrix.has_sorted_indices


def test_no_pairs():
    assert symmetric.from_pairs([], [], [], 3).toarray().shape == (3, 3)


def test_ends_values_and_order():
    matrix = sparse.csr_matrix(DENSE)
    rows, columns = symmetric.ends(matrix)
    np.testing.assert_array_equal(rows, [0, 0, 1, 1, 1, 2, 3, 3])
    np.testing.assert_array_equal(columns, [1, 3, 0, 2, 3, 1, 0, 1])
    # Row 0 ties: the smaller column first. Row 1: .9 (2), .7 (3), .5 (0).
    np.testing.assert_array_equal(columns[symmetric.by_falling_value(matrix)], [1, 3, 2, 3, 0, 1, 1, 0])
    values = np.arange(8.0)  # 01=0 03=1 10=2 12=3 13=4 21=5 30=6 31=7
    np.testing.assert_array_equal(symmetric.reversed_values(matrix, values), [2, 6, 0, 5, 7, 3, 1, 4])
    changed = symmetric.with_values(matrix, values)
    assert changed[1, 3] == 4 and changed.nnz == 7 and matrix.nnz == 8  # the 0 is gone, the input stays


def test_the_larger_of_two_values():
    first, second = sparse.csr_matrix(DENSE), symmetric.from_pairs([0, 0], [1, 2], [.9, .1], 4)
    expected = DENSE.copy()
    expected[[0, 1], [1, 0]] = .9
    expected[[0, 2], [2, 0]] = .1
    np.testing.assert_array_equal(symmetric.larger(first, second).toarray(), expected)
    np.testing.assert_array_equal(first.toarray(), DENSE)
