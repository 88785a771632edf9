import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edge_denoising, edges, knn

KINDS = sorted(edge_denoising.DENOISERS)
# A path 0-1-2 with a triangle 2-3-4, and node 5 alone.
PAIRS = {(0, 1): .9, (1, 2): .5, (2, 3): .8, (2, 4): .6, (3, 4): .7}


def graph(pairs=PAIRS, n=6):
    dense = np.zeros((n, n), np.float32)
    for (i, j), value in pairs.items():
        dense[i, j] = dense[j, i] = value
    return sparse.csr_matrix(dense)


def random_graph(n=60, k=12):
    rows = np.random.RandomState(0).randn(n, 5)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return edges.edges(*knn.neighbors(rows, k), k=k, kind="mutual")


def slow(matrix, kind):
    """Return the dense denoised matrix by loops over each node's list of edges."""
    dense, n = matrix.toarray().astype(np.float64), matrix.shape[0]
    joined = matrix.toarray() != 0
    result = np.zeros((n, n))
    for i in range(n):
        for j in np.flatnonzero(joined[i]):
            lists = [sorted(dense[a][joined[a]], reverse=True) for a in (i, j)]
            if kind == "rank":
                places = [sum(v > dense[i, j] for v in values) + 1 for values in lists]
                result[i, j] = (places[0] * places[1]) ** (-1 / 3)
            elif kind == "hubs":
                result[i, j] = np.exp(3 * (2 * dense[i, j] - np.mean(lists[0]) - np.mean(lists[1])))
            elif kind == "local_scaling":
                scales = [np.sqrt(2 - 2 * values[min(7, len(values)) - 1]) for values in lists]
                result[i, j] = np.exp(-(2 - 2 * dense[i, j]) / (scales[0] * scales[1]))
            else:
                result[i, j] = dense[i, j]
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("matrix", [graph(), random_graph()], ids=["small", "random"])
def test_denoising_equals_slow_loops_and_is_symmetric(kind, matrix):
    before = matrix.copy()
    found = edge_denoising.denoise(matrix, kind)
    np.testing.assert_allclose(found.toarray(), slow(matrix, kind), rtol=1e-5)
    np.testing.assert_array_equal(found.toarray(), found.toarray().T)
    assert found.nnz == matrix.nnz and (found.data > 0).all() and found.dtype == np.float32
    np.testing.assert_array_equal(matrix.toarray(), before.toarray())


def test_ranks_by_hand():
    """2's list: 3 (.8), 4 (.6), 1 (.5). 1's: 0 (.9), 2 (.5). 4's: 3 (.7), 2 (.6). Cubed, the values are 1/(r r)."""
    found = edge_denoising.rank(graph()).toarray() ** 3
    assert found[0, 1] == pytest.approx(1) and found[2, 3] == pytest.approx(1)
    assert found[1, 2] == pytest.approx(1 / (2 * 3)) and found[2, 4] == pytest.approx(1 / (2 * 2))
    assert found[3, 4] == pytest.approx(1 / (2 * 1)) and not found[5].any()


def test_equal_similarities_rank_by_the_smaller_id():
    found = edge_denoising.rank(graph({(0, 1): .5, (0, 2): .5, (1, 2): .5}, 3)).toarray() ** 3
    # Each node's list by id: 0: 1, 2; 1: 0, 2; 2: 0, 1.
    np.testing.assert_allclose([found[0, 1], found[0, 2], found[1, 2]], [1, 1 / 2, 1 / 4], rtol=1e-6)


def test_of_two_equal_similarities_the_hubs_counts_less():
    """Node 5 is as near to the hub 0, which is near to all, as to 4, which is near to nobody else."""
    found = edge_denoising.hubs(graph({(0, 1): .9, (0, 2): .9, (0, 3): .9, (0, 5): .6, (4, 5): .6})).toarray()
    assert found[4, 5] == pytest.approx(np.exp(3 * (1.2 - .6 - .6)), rel=1e-5)
    assert found[0, 5] == pytest.approx(np.exp(3 * (1.2 - .825 - .6)), rel=1e-5)


def test_duplicates_have_a_finite_value():
    found = edge_denoising.local_scaling(graph({(0, 1): 1, (1, 2): .9}, 3)).toarray()
    assert found[0, 1] == 1 and 0 < found[1, 2] < 1 and np.isfinite(found).all()


def test_scaling_does_not_depend_on_the_unit_of_distance():
    """The same layout twice, once with all squared distances a tenth: local scaling gives the same values."""
    near = {pair: 1 - (1 - value) / 10 for pair, value in PAIRS.items()}
    np.testing.assert_allclose(edge_denoising.local_scaling(graph(near)).toarray(),
                               edge_denoising.local_scaling(graph()).toarray(), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_without_edges(kind):
    assert edge_denoising.denoise(sparse.csr_matrix((3, 3), dtype=np.float32), kind).nnz == 0


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(InputError, match="unknown kind of denoising 'ranks' .did you mean rank.*hubs, local_scaling"):
        edge_denoising.denoise(graph(), "ranks")
