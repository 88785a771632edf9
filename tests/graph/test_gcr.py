import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gcr, knn
from slim_retrieval.graph.gcr import GCR


def clustered(n=50, d=8, seed=0, noise=0.7):
    random = np.random.RandomState(seed)
    rows = np.random.RandomState(99).randn(6, d)[random.randint(6, size=n)] + noise * random.randn(n, d)
    return unit(rows).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def dense_round(x, k, beta):
    """Return normalise(D_row^-1/2 S D_col^-1/2 X) with a dense S, in float64 by loops."""
    n, strength = len(x), np.zeros((len(x), len(x)))
    for i in range(n):
        for j in sorted((j for j in range(n) if j != i), key=lambda j, i=i: -(x[i] @ x[j]))[:k]:
            strength[i, j] = np.exp(x[i] @ x[j] / beta)
        strength[i, i] = np.exp(x[i] @ x[i] / beta)
    rows, columns = strength.sum(axis=1), strength.sum(axis=0)
    return unit(np.array([[strength[i, j] / np.sqrt(rows[i] * columns[j]) for j in range(n)] for i in range(n)]) @ x)


def dense(x, k, beta, rounds):
    x = x.astype(np.float64)
    for _ in range(rounds):
        x = dense_round(x, k, beta)
    return x


def check_order(ranks, query, gallery):
    """Every id once, by rising distance up to rounding."""
    assert sorted(ranks) == list(range(len(gallery)))
    distances = np.linalg.norm(gallery[ranks] - query, axis=1)
    np.testing.assert_allclose(distances, np.sort(distances), atol=1e-5)


@pytest.mark.parametrize("k, beta, rounds", [(5, 0.2, 1), (14, 0.2, 3), (3, 0.05, 2), (200, 0.5, 2)])
def test_the_gallery_alone_equals_the_dense_formula(k, beta, rounds):
    gallery = clustered()
    model = GCR(k, beta, rounds).fit(gallery)
    expected = dense(gallery, k, beta, rounds)
    np.testing.assert_allclose(model.gallery_, expected, atol=1e-5)
    assert model.gallery_.dtype == np.float32
    for i, row in enumerate(model.rank_gallery(49)):
        others = np.delete(np.arange(50), i)
        check_order(np.searchsorted(others, row), expected[i], expected[others])


@pytest.mark.parametrize("k, beta, rounds", [(5, 0.2, 1), (9, 0.2, 3), (200, 0.5, 2)])
def test_joint_rankings_equal_the_dense_formula_over_gallery_and_queries(k, beta, rounds):
    gallery, queries = clustered(), clustered(9, seed=1)
    ranks = GCR(k, beta, rounds).fit(gallery).rank(queries, 50)
    together = dense(np.concatenate([gallery, queries]), k, beta, rounds)
    assert ranks.dtype == np.int32
    for row, query in zip(ranks, together[50:]):
        check_order(row, query, together[:50])


def test_inductive_queries_equal_the_loops():
    """Round t: the query's k nearest among X_{t-1}, D_col of the gallery's own graph, its own D_col as its D_row."""
    gallery, queries, k, beta = clustered(), clustered(9, seed=1), 5, 0.3
    model = GCR(k, beta, 2, queries="inductive").fit(gallery)
    levels = [gallery.astype(np.float64)]
    levels.append(dense_round(levels[0], k, beta))
    expected = []
    for query in queries.astype(np.float64):
        for level in levels:
            columns = np.zeros(50)
            for i in range(50):
                near = sorted((j for j in range(50) if j != i), key=lambda j: -(level[i] @ level[j]))[:k] + [i]
                columns[near] += np.exp(level[near] @ level[i] / beta)
            near = sorted(range(50), key=lambda j: -(level[j] @ query))[:k]
            strengths = np.exp(level[near] @ query / beta)
            row = strengths.sum() + np.exp(1 / beta)
            query = unit(sum(s / np.sqrt(row * columns[j]) * level[j] for s, j in zip(strengths, near))
                         + np.exp(1 / beta) / row * query)
        expected.append(query)
    np.testing.assert_allclose(model.transform(queries), expected, atol=1e-5)
    last = dense(gallery, k, beta, 2)
    for row, query in zip(model.rank(queries, 50), expected):
        check_order(row, query, last)


def test_one_round_by_hand():
    """x = (1, 0), (0, 1), (-1, 0) with k = 1 and beta 1, given that both others' neighbour is x1, and x1's is x0.

    With 1 for a node and itself and e = exp(-1) for an edge: rows all 1 + e; columns 1 + e, 1 + 2 e, 1.
    """
    x, e = np.array([[1, 0], [0, 1], [-1, 0]], np.float32), np.exp(-1)
    near = np.array([[1], [0], [1]], np.int32), np.zeros((3, 1), np.float32)
    moved, columns = gcr.propagate(x, 1, 1.0, near)
    np.testing.assert_allclose(columns, [1 + e, 1 + 2 * e, 1])
    a, b, c = np.sqrt(1 + e), np.sqrt(1 + 2 * e), 1
    np.testing.assert_allclose(moved, unit(np.array([[1 / a, e / b], [e / a, 1 / b], [-1 / c, e / b]])), atol=1e-6)


def test_no_rounds_give_plain_search():
    gallery, queries = clustered(), clustered(9, seed=1)
    for treatment in gcr.QUERIES:
        model = GCR(rounds=0, queries=treatment).fit(gallery)
        np.testing.assert_array_equal(model.rank(queries, 50), knn.search(queries, gallery, 50)[0])
        np.testing.assert_array_equal(model.rank_gallery(49), knn.neighbors(gallery, 49)[0])


def test_a_tiny_temperature_stays_finite():
    """exp(1 / .001) is beyond float64; each node keeps itself, its strength being e^300 times that of the next."""
    gallery = np.eye(8, dtype=np.float32)
    np.testing.assert_allclose(GCR(beta=1e-3).fit(gallery).gallery_, gallery, atol=1e-6)


@pytest.mark.parametrize("treatment", sorted(gcr.QUERIES))
def test_duplicates_and_padded_rankings(treatment):
    gallery = np.repeat(clustered(5), 3, axis=0)
    model = GCR(k=2, queries=treatment).fit(gallery)
    np.testing.assert_allclose(model.gallery_, gallery, atol=1e-5)  # each copy sees its two others only
    ranks = model.rank(clustered(4, seed=1), 20)
    assert (ranks[:, 15:] == -1).all()
    np.testing.assert_array_equal(np.sort(ranks[:, :15]), np.tile(np.arange(15), (4, 1)))
    own = model.rank_gallery(20)
    assert (own[:, 14:] == -1).all() and all(i not in own[i] for i in range(15))


@pytest.mark.parametrize("treatment", sorted(gcr.QUERIES))
def test_a_renumbered_gallery_is_ranked_the_same(treatment):
    gallery, queries = clustered(), clustered(9, seed=1)
    order = np.random.RandomState(3).permutation(50)
    # Few rounds over few neighbours: more of them draw a cluster so close that rounding decides its order.
    model, other = (GCR(k=4, rounds=1, queries=treatment).fit(rows) for rows in (gallery, gallery[order]))
    np.testing.assert_allclose(other.gallery_, model.gallery_[order], atol=1e-6)
    np.testing.assert_array_equal(order[other.rank(queries, 50)], model.rank(queries, 50))


def test_queries_never_change_the_gallery_and_nothing_given_is_changed(tmp_path):
    gallery, queries = clustered(), clustered(9, seed=1)
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")  # a write would raise
    near = knn.neighbors(gallery, 20)
    before = [a.copy() for a in (queries,) + near]
    for treatment in gcr.QUERIES:
        model = GCR(queries=treatment).fit(mapped, near)
        own = model.rank_gallery(49)
        first = model.rank(queries, 50)
        np.testing.assert_array_equal(model.rank(queries, 50), first)
        np.testing.assert_array_equal(model.rank_gallery(49), own)
        np.testing.assert_array_equal(GCR(queries=treatment).fit(gallery, knn.neighbors(gallery, 2)).rank(queries, 50),
                                      first)
    for array, copy in zip((queries,) + near, before):
        np.testing.assert_array_equal(array, copy)


def test_inductive_queries_do_not_see_each_other():
    gallery, queries = clustered(), clustered(9, seed=1)
    model = GCR(queries="inductive").fit(gallery)
    alone = np.concatenate([model.transform(queries[i:i + 1]) for i in range(9)])
    np.testing.assert_allclose(alone, model.transform(queries), atol=1e-6)


def test_close_neighbours_are_told_apart_beyond_the_rounding_of_products():
    """Images at distances 1e-5 to 1.9e-4: 1 - s is below 2e-8, so that every product rounds to 1 in float32."""
    steps = np.random.RandomState(0).permutation(np.arange(1, 20))
    gallery = np.stack([np.ones(19), 1e-5 * steps], axis=1).astype(np.float32)
    query = np.array([[1, 0]], np.float32)
    assert (query @ gallery.T == 1).all()
    np.testing.assert_array_equal(gcr.ranked(query, gallery, 19)[0], np.argsort(steps))


def test_propagation_tells_noisy_clusters_apart():
    gallery, queries = clustered(200, noise=1.2), clustered(40, seed=1, noise=1.2)
    labels, wanted = (np.random.RandomState(seed).randint(6, size=n) for n, seed in ((200, 0), (40, 1)))

    def precision(ranks):
        return np.mean(labels[ranks[:, :20]] == wanted[:, None])

    plain = precision(knn.search(queries, gallery, 20)[0])
    assert plain < 0.8
    for treatment in gcr.QUERIES:
        assert precision(GCR(queries=treatment).fit(gallery).rank(queries, 20)) > plain + 0.05


@pytest.mark.parametrize("treatment", sorted(gcr.QUERIES))
def test_tiny_galleries(treatment):
    model = GCR(queries=treatment).fit(clustered(1))
    assert model.needed_neighbors(1) == 0 and model.report_ == {"k": 0, "rounds": 3, "queries": treatment}
    assert model.rank(clustered(2, seed=1), 2).tolist() == [[0, -1], [0, -1]]
    assert model.rank_gallery(1).tolist() == [[-1]]


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="unknown treatment of queries 'joined' .did you mean joint"):
        GCR(queries="joined").fit(clustered())
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        GCR().fit(clustered(5, 4)).rank(clustered(2, 3), 5)
