import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import k_reciprocal, knn, self_join
from slim_retrieval.graph.k_reciprocal import KReciprocal


def clustered(n=60, d=8, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(6, d)[random.randint(6, size=n)] + 0.5 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_encodings(nodes, k1, k2):
    """Return V [n, n] and d [n, n] by loops, in float64, from the paper's definitions and the authors' choices."""
    nodes, n = nodes.astype(np.float64), len(nodes)
    squares = np.array([[((a - b) ** 2).sum() for b in nodes] for a in nodes])
    original = squares / squares.max(axis=1)[:, None]
    near = [[i] + [j for _, j in sorted((squares[i, j], j) for j in range(n) if j != i)] for i in range(n)]

    def reciprocal(p, k):
        return {j for j in near[p][:k + 1] if p in near[j][:k + 1]}

    encoded = np.zeros((n, n))
    for p in range(n):
        members = expanded = reciprocal(p, k1)
        for q in members:
            theirs = reciprocal(q, int(np.around(k1 / 2)))
            if len(theirs & members) > 2 / 3 * len(theirs):
                expanded = expanded | theirs
        total = sum(np.exp(-original[p, j]) for j in expanded)
        for j in expanded:
            encoded[p, j] = np.exp(-original[p, j]) / total
    return np.array([np.mean([encoded[j] for j in near[i][:k2]], axis=0) for i in range(n)]), original


def slow_distances(nodes, k1, k2, lambda_value):
    """Return the re-ranked distances [n, n] of all nodes to all."""
    encoded, original = slow_encodings(nodes, k1, k2)
    result = np.zeros_like(original)
    for i, a in enumerate(encoded):
        for j, b in enumerate(encoded):
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            result[i, j] = (1 - lambda_value) * jaccard + lambda_value * original[i, j]
    return result


def assert_sorted(ranks, distances):
    """The ranking is complete and its distances do not fall by more than rounding."""
    assert (np.sort(ranks, axis=1) == np.arange(distances.shape[1])).all()
    assert np.diff(np.take_along_axis(distances, ranks, axis=1), axis=1).min() > -1e-6


@pytest.mark.parametrize("k1, k2", [(1, 1), (4, 1), (5, 3), (20, 6), (3, 9), (70, 80)])
def test_encodings_equal_slow_loops(k1, k2):
    nodes = clustered()
    near = knn.neighbors(nodes, min(max(k1, k2 - 1), 59))
    encoded = k_reciprocal.encodings(nodes, near, self_join.least_similarities(nodes), k1, k2)
    expected, _ = slow_encodings(nodes, k1, k2)
    np.testing.assert_allclose(encoded.toarray(), expected, atol=1e-6)
    assert encoded.nnz == np.count_nonzero(expected) and encoded.dtype == np.float32


@pytest.mark.parametrize("k1, k2, lambda_value", [(20, 6, 0.3), (5, 3, 0.3), (5, 1, 0.7), (9, 4, 1.0)])
def test_rank_equals_slow_loops_over_gallery_and_queries(k1, k2, lambda_value):
    nodes = clustered()
    ranks = KReciprocal(k1, k2, lambda_value).fit(nodes[:48]).rank(nodes[48:], 48)
    assert_sorted(ranks, slow_distances(nodes, k1, k2, lambda_value)[48:, :48])


def test_products_kept_or_formed_again_give_the_same_ranking(monkeypatch):
    nodes = clustered()
    kept = KReciprocal(5, 3).fit(nodes[:48]).rank(nodes[48:], 48)
    monkeypatch.setattr(k_reciprocal, "KEPT", 0)
    np.testing.assert_array_equal(KReciprocal(5, 3).fit(nodes[:48]).rank(nodes[48:], 48), kept)


def test_rank_gallery_equals_slow_loops_over_the_gallery_alone():
    nodes = clustered()
    ranks = KReciprocal(7, 3).fit(nodes).rank_gallery(60)
    distances = slow_distances(nodes, 7, 3, 0.3)
    np.testing.assert_array_equal(ranks[:, 59], -1)
    np.fill_diagonal(distances, 2)  # behind all others
    assert_sorted(np.concatenate([ranks[:, :59], np.arange(60)[:, None]], axis=1), distances)


def test_a_case_worked_by_hand():
    """a and b are each other's nearest, c is alone; a.b = 0.6, a.c = -1, b.c = -0.6.

    d_ab = 0.4 / 2 = 0.2, d_ba = 0.4 / 1.6 = 0.25. V_a = (1, e^-0.2) / (1 + e^-0.2) = (0.549834, 0.450166, 0),
    V_b = (e^-0.25, 1) / (1 + e^-0.25) = (0.437823, 0.562177, 0), V_c = (0, 0, 1).
    Sum of minima of a and b: 0.437823 + 0.450166 = 0.887989; J = 1 - 0.887989 / 1.112011 = 0.201456.
    """
    nodes = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    least = self_join.least_similarities(nodes)
    np.testing.assert_allclose(least, [-1, -0.6, -1], atol=1e-6)
    encoded = k_reciprocal.encodings(nodes, knn.neighbors(nodes, 1), least, 1, 1)
    np.testing.assert_allclose(encoded.toarray(), [[0.549834, 0.450166, 0], [0.437823, 0.562177, 0], [0, 0, 1]],
                               atol=1e-6)
    shared = k_reciprocal.overlaps(encoded, encoded.T.tocsr())
    np.testing.assert_allclose(shared, [[1, 0.887989, 0], [0.887989, 1, 0], [0, 0, 1]], atol=1e-6)
    distances = KReciprocal(1, 1, 0.3).fit(nodes)._distances(nodes @ nodes.T, least, shared)
    expected = [[0, 0.7 * 0.201456 + 0.3 * 0.2, 1], [0.7 * 0.201456 + 0.3 * 0.25, 0, 1], [1, 0.7 + 0.3 * 0.8, 0]]
    np.testing.assert_allclose(distances, expected, atol=1e-6)


def test_overlaps_equal_slow_loops():
    random = np.random.RandomState(0)
    values = random.rand(30, 12).astype(np.float32) * (random.rand(30, 12) < 0.4)
    expected = [[sum(min(a, b) for a, b in zip(row, other)) for other in values] for row in values[:7]]
    got = k_reciprocal.overlaps(sparse.csr_matrix(values[:7]), sparse.csr_matrix(values.T))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_lambda_one_is_the_plain_order_and_lambda_zero_falls_back_on_it():
    nodes = clustered()
    gallery, queries = nodes[:48], nodes[48:]
    plain = knn.search(queries, gallery, 48)[0]
    np.testing.assert_array_equal(KReciprocal(lambda_value=1).fit(gallery).rank(queries, 48), plain)
    ranks = KReciprocal(2, 1, lambda_value=0).fit(gallery).rank(queries, 48)
    encoded, _ = slow_encodings(nodes, 2, 1)
    for ranking, order, own in zip(ranks, plain, encoded[48:]):
        touching = [bool(np.minimum(own, encoded[j]).any()) for j in ranking]
        behind = ranking[np.count_nonzero(touching):]
        assert all(touching[:len(ranking) - len(behind)]) and len(behind) > 30
        np.testing.assert_array_equal(behind, [j for j in order if j in set(behind)])


def test_equal_features_give_numbers_and_the_order_of_ids():
    same = np.repeat(np.array([[0.6, 0.8]], np.float32), 9, axis=0)
    np.testing.assert_array_equal(KReciprocal(3, 2).fit(same).rank(same[:2], 9), [np.arange(9)] * 2)


@pytest.mark.parametrize("settings", [{"k1": 0}, {"k2": 0}, {"lambda_value": 1.5}, {"lambda_value": -0.1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError, match="k_reciprocal: k1 .*at least 1"):
        KReciprocal(**settings).fit(clustered())
