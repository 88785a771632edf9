import numpy as np
import pytest

from slim_retrieval.graph import conjugate_gradients


def system(n=40, w=5, seed=0):
    random = np.random.RandomState(seed)
    half = random.randn(n, n)
    return (half @ half.T / n + np.eye(n)).astype(np.float32), random.randn(n, w).astype(np.float32)


def test_the_solution_is_the_direct_one():
    matrix, right = system()
    solution = np.zeros_like(right)
    used = conjugate_gradients.improve(lambda block: matrix @ block, solution, right.copy(), np.full(5, 1e-4), 100)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix.astype(np.float64), right), atol=1e-4)
    assert 5 < used < 100


def test_a_column_that_is_done_stays_and_products_are_limited():
    matrix, right = system()
    right[:, 1] = 0
    solution = np.zeros_like(right)
    assert conjugate_gradients.improve(lambda block: matrix @ block, solution, right, np.zeros(5), 3) == 3
    np.testing.assert_array_equal(solution[:, 1], 0)
    assert np.abs(solution[:, 0]).max() > 0


@pytest.mark.parametrize("n", [1, 511, 512, 1500])
def test_dots_equal_those_of_float64(n):
    a, b = np.random.RandomState(n).randn(2, n, 3).astype(np.float32)
    np.testing.assert_allclose(conjugate_gradients.dots(a, b), (a.astype(np.float64) * b).sum(axis=0), atol=1e-3)
