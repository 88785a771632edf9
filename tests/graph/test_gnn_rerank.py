import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gnn_rerank, knn
from slim_retrieval.graph.gnn_rerank import GNNRerank


def clustered(n=60, d=8, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(6, d)[random.randint(6, size=n)] + 0.5 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_scores(nodes, k1, k2, layers, alpha):
    """Return A_i.A_j [n, n] by loops over dense arrays in float64; no similarity among the k2 may be negative."""
    nodes, n = nodes.astype(np.float64), len(nodes)
    near = [[i] + [j for _, j in sorted((-float(nodes[i] @ nodes[j]), j) for j in range(n) if j != i)]
            for i in range(n)]
    current = np.zeros((n, n))
    for i in range(n):
        current[i, near[i][:k1]] = 1
    for _ in range(layers):
        both = current + current.T
        for i in range(n):
            row = sum(max(0, nodes[i] @ nodes[j]) ** alpha * both[j] for j in near[i][:k2])
            current[i] = row / np.sqrt((row ** 2).sum())
    return current @ current.T


def assert_sorted(ranks, scores, plain):
    """The ranking is complete, by falling score, and those of score 0 by falling similarity."""
    assert (np.sort(ranks, axis=1) == np.arange(scores.shape[1])).all()
    values = np.take_along_axis(np.where(scores > 0, scores, plain - 2), ranks, axis=1)
    assert np.diff(values, axis=1).max() < 1e-6


@pytest.mark.parametrize("k1, k2, layers, alpha", [
    (26, 7, 2, 2.0), (3, 2, 2, 2.0), (4, 3, 1, 2.0), (4, 3, 3, 0.5), (2, 5, 2, 3.0), (80, 70, 2, 2.0)])
def test_rank_equals_slow_loops_over_gallery_and_queries(k1, k2, layers, alpha):
    nodes = clustered()
    ranks = GNNRerank(k1, k2, layers, alpha).fit(nodes[:48]).rank(nodes[48:], 48)
    assert_sorted(ranks, slow_scores(nodes, k1, k2, layers, alpha)[48:, :48], nodes[48:] @ nodes[:48].T)


def test_rank_gallery_equals_slow_loops_over_the_gallery_alone():
    nodes = clustered()
    ranks = GNNRerank(6, 3).fit(nodes).rank_gallery(60)
    scores, plain = slow_scores(nodes, 6, 3, 2, 2.0), nodes @ nodes.T
    np.testing.assert_array_equal(ranks[:, 59], -1)
    np.fill_diagonal(scores, 0)
    np.fill_diagonal(plain, -2)  # behind all others
    assert_sorted(np.concatenate([ranks[:, :59], np.arange(60)[:, None]], axis=1), scores, plain)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_last_layer_is_w_b_with_normalised_rows(layers):
    nodes = clustered()
    weights, neighbourhoods = gnn_rerank.propagated(knn.neighbors(nodes, 9), 10, 4, layers, 2.0)
    last = weights.toarray() @ neighbourhoods.toarray()
    norms = gnn_rerank._norms(weights, neighbourhoods)
    np.testing.assert_allclose(norms, np.linalg.norm(last, axis=1), rtol=1e-5)
    last /= norms[:, None]
    np.testing.assert_allclose(last @ last.T, slow_scores(nodes, 10, 4, layers, 2.0), atol=1e-5)
    assert weights.dtype == neighbourhoods.dtype == np.float32


def test_a_case_worked_by_hand():
    """a.b = 0.8, a.c = -0.28, b.c = 0.352; k1 = k2 = 2, one layer, alpha 2.

    Nearest: a-b, b-a, c-b. A = [110, 110, 011] by rows; B = A + A^T = [[2, 2, 0], [2, 2, 1], [0, 1, 2]].
    W = [[1, .64, 0], [.64, 1, 0], [0, .123904, 1]].
    W B = [[3.28, 3.28, .64], [3.28, 3.28, 1], [.247808, 1.247808, 2.123904]].
    """
    nodes = np.array([[1, 0], [0.8, 0.6], [-0.28, 0.96]], np.float32)
    weights, neighbourhoods = gnn_rerank.propagated(knn.neighbors(nodes, 1), 2, 2, 1, 2.0)
    np.testing.assert_allclose(neighbourhoods.toarray(), [[2, 2, 0], [2, 2, 1], [0, 1, 2]])
    np.testing.assert_allclose((weights @ neighbourhoods).toarray(),
                               [[3.28, 3.28, 0.64], [3.28, 3.28, 1], [0.247808, 1.247808, 2.123904]], rtol=1e-6)


def test_equal_features_give_numbers_and_the_order_of_ids():
    same = np.repeat(np.array([[0.6, 0.8]], np.float32), 9, axis=0)
    np.testing.assert_array_equal(GNNRerank(20, 3).fit(same).rank(same[:2], 9), [np.arange(9)] * 2)


@pytest.mark.parametrize("settings", [{"k1": 0}, {"k2": 1}, {"layers": 0}, {"alpha": -1.0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError, match="gnn_rerank: k1 .*at least 1, 2, 1 and 0"):
        GNNRerank(**settings).fit(clustered())
