"""A solution mended where its graph has changed, against the dense inverse."""
import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.graph import affinity, growth_solve

ALPHA = 0.9


def system(parts, edge=None, seed=0, size=12):
    """Return (S, X) of parts without edges between them, each of `size` nodes; edge: (i, j), one more, or None."""
    random = np.random.RandomState(seed)
    blocks = []
    for _ in range(parts):
        block = np.triu((random.rand(size, size) < 0.4) * random.rand(size, size), 1)
        blocks.append(block + block.T)
    whole = sparse.block_diag(blocks, format="lil", dtype=np.float32)
    if edge:
        whole[edge] = whole[edge[::-1]] = 0.5
    matrix = affinity.normalised(whole.tocsr())
    inputs = random.randn(parts * size, 5).astype(np.float32)
    return matrix, inputs / np.linalg.norm(inputs, axis=1, keepdims=True)


def exact(matrix, inputs):
    whole = np.eye(len(inputs)) - ALPHA * matrix.toarray().astype(np.float64)
    return (1 - ALPHA) * np.linalg.solve(whole, inputs.astype(np.float64))


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(a)


@pytest.mark.parametrize("tolerance", [0.1, 0.02, 1e-3, 1e-5])
def test_the_error_told_holds_and_shrinks_with_the_tolerance(tolerance):
    matrix, inputs = system(4)
    solution = exact(matrix, inputs).astype(np.float32)
    solution[3] = 0  # as a new node
    changed = system(4, (20, 30))[0]
    report = growth_solve.settle(changed, ALPHA, inputs, solution, tolerance)
    measured = distance(solution, exact(changed, inputs))
    assert report["converged"] and measured <= report["error"] <= 20 * tolerance
    residual = (1 - ALPHA) * inputs + ALPHA * (changed @ solution) - solution
    assert np.linalg.norm(residual, axis=1).max() <= 2 * tolerance * (1 - ALPHA) + 1e-6


def test_other_parts_of_the_graph_are_not_touched_and_the_changed_one_is_solved_exactly():
    matrix, inputs = system(6)
    solution = exact(matrix, inputs).astype(np.float32)
    before, changed = solution.copy(), system(6, (1, 7))[0]
    solution[5] = 0
    report = growth_solve.settle(changed, ALPHA, inputs, solution, 1e-6)
    assert solution[12:].tobytes() == before[12:].tobytes() and 0 < report["share"] <= 1 / 6
    np.testing.assert_allclose(solution, exact(changed, inputs), atol=1e-6)


def test_what_reaches_more_than_a_third_is_solved_for_all():
    matrix, inputs = system(2)
    solution = np.zeros_like(inputs)
    report = growth_solve.settle(matrix, ALPHA, inputs, solution, 1e-6)
    assert report["share"] == 1
    np.testing.assert_allclose(solution, exact(matrix, inputs), atol=1e-5)


def test_nothing_is_done_where_nothing_has_changed_and_isolated_nodes_are_solved_at_once():
    matrix, inputs = system(3)
    solution = exact(matrix, inputs).astype(np.float32)
    before = solution.copy()
    assert growth_solve.settle(matrix, ALPHA, inputs, solution, 1e-3)["rounds"] == 0
    np.testing.assert_array_equal(solution, before)
    alone = sparse.csr_matrix(matrix.shape, dtype=np.float32)
    growth_solve.settle(alone, ALPHA, inputs, solution, 1e-5)
    np.testing.assert_allclose(solution, (1 - ALPHA) * inputs, atol=1e-6)
