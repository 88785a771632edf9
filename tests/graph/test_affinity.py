import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity


def symmetric(entries, n):
    dense = np.zeros((n, n), np.float32)
    for i, j, value in entries:
        dense[i, j] = dense[j, i] = value
    return sparse.csr_matrix(dense)


def test_affinity_and_normalisation_by_hand():
    graph = symmetric([(0, 1, 0.5), (1, 2, 1.0), (0, 2, -0.5)], 4)
    weighted = affinity.affinity(graph, 2)
    np.testing.assert_allclose(weighted.toarray(), [[0, .25, 0, 0], [.25, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert weighted.nnz == 4  # the negative similarity is no edge
    # Degrees .25, 1.25, 1: S_01 = .25 / sqrt(.25 * 1.25), S_12 = 1 / sqrt(1.25).
    a, b = 0.25 / np.sqrt(0.3125), 1 / np.sqrt(1.25)
    result = affinity.normalised(weighted)
    np.testing.assert_allclose(result.toarray(), [[0, a, 0, 0], [a, 0, b, 0], [0, b, 0, 0], [0, 0, 0, 0]], rtol=1e-6)
    assert result.dtype == np.float32
    assert affinity.isolated(weighted) == 1


def test_gamma_zero_gives_one_for_positive_similarities_only():
    np.testing.assert_array_equal(affinity.weights(np.array([0.3, 0, -0.2, 1], np.float32), 0), [1, 0, 0, 1])


def test_the_graph_is_left_alone():
    graph = symmetric([(0, 1, 0.5), (1, 2, -1.0)], 3)
    before = graph.toarray()
    affinity.normalised(affinity.affinity(graph, 3))
    np.testing.assert_array_equal(graph.toarray(), before)
    assert graph.nnz == 4


def test_symmetric_to_the_last_bit_with_eigenvalues_within_one():
    random = np.random.RandomState(0)
    dense = np.triu(random.rand(40, 40) * (random.rand(40, 40) < 0.2), 1).astype(np.float32)
    result = affinity.normalised(affinity.affinity(sparse.csr_matrix(dense + dense.T), 3)).toarray()
    np.testing.assert_array_equal(result, result.T)
    assert np.abs(np.linalg.eigvalsh(result.astype(np.float64))).max() <= 1 + 1e-6
