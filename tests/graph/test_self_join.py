import numpy as np
import pytest

from slim_retrieval.graph import compiled, self_join

# Vectors whose inner products are exact in float32, so that ties are ties: +-1, +-0.5 and 0 with -0.0 among them.
EXACT = np.array([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [-1, 0, 0, 0], [0, 0, 1, 0],
                  [-0.5, 0.5, 0.5, 0.5], [0, 0, 0, -1]], np.float32)


def exact_rows(n, seed):
    return EXACT[np.random.RandomState(seed).randint(len(EXACT), size=n)]


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_neighbors(nodes, k):
    """Sort (-similarity, id) of all pairs with Python; return (ids, similarities)."""
    ids, similarities = np.full((len(nodes), k), -1), np.full((len(nodes), k), -1.0)
    for i, node in enumerate(nodes.astype(np.float64)):
        pairs = sorted((-float(node @ other), j) for j, other in enumerate(nodes) if j != i)[:k]
        ids[i, :len(pairs)] = [j for _, j in pairs]
        similarities[i, :len(pairs)] = [-s for s, _ in pairs]
    return ids, similarities


@pytest.fixture(params=["numba", "numpy"])
def by(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(self_join, "compiled", lambda *_: None)
    return request.param


@pytest.mark.parametrize("k", [1, 5, 39, 45])
@pytest.mark.parametrize("block", [1, 7, 13, 1024])
def test_join_equals_a_slow_loop_ties_by_the_smaller_id(by, monkeypatch, k, block):
    """40 rows of 7 kinds: each has several exact duplicates, and many ties decide who is left out."""
    monkeypatch.setattr(self_join, "BLOCK", block)
    nodes = exact_rows(40, 3)
    ids, similarities, least = self_join.join(nodes, k)
    expected = slow_neighbors(nodes, k)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(similarities, expected[1])
    np.testing.assert_array_equal(least, (nodes @ nodes.T).min(axis=1))
    assert ids.dtype == np.int32 and similarities.dtype == np.float32


def test_join_of_wide_blocks_equals_a_sort(by):
    """Blocks wider than what is looked at together, with a rest."""
    nodes = unit_rows(300, 6)
    ids, similarities, least = self_join.join(nodes, 11)
    products = nodes @ nodes.T
    np.testing.assert_allclose(least, products.min(axis=1), atol=1e-6)
    np.fill_diagonal(products, -2)
    np.testing.assert_allclose(similarities, -np.sort(-products, axis=1)[:, :11], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(products, ids, axis=1), similarities, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_rounds_have_each_pair_once_and_nothing_twice_in_one(count):
    found = self_join.rounds(count)
    pairs = [tuple(sorted(pair)) for pairs in found for pair in pairs]
    assert sorted(pairs) == [(a, b) for a in range(count) for b in range(a, count)]
    for pairs in found[1:]:
        assert len({block for pair in pairs for block in pair}) == 2 * len(pairs)


@pytest.mark.parametrize("k, stored", [(1, 1), (6, 6), (6, 9), (29, 29), (45, 29)])
@pytest.mark.parametrize("block", [4, 1024])
def test_extend_equals_a_join_of_all(by, monkeypatch, k, stored, block):
    monkeypatch.setattr(self_join, "BLOCK", block)
    nodes = exact_rows(43, 5)
    gallery, queries = nodes[:30], nodes[30:]
    ids, similarities, least = self_join.join(gallery, stored)
    kept = ids.copy()
    products = np.zeros((13, 30), np.float32)
    got = self_join.extend(gallery, queries, (ids, similarities), least, k, products)
    for found, expected in zip(got, slow_neighbors(nodes, k) + ((nodes @ nodes.T).min(axis=1),)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(products, queries @ gallery.T)
    np.testing.assert_array_equal(ids, kept)


def test_similarities_a_little_over_one_are_clipped(by):
    over = np.repeat(np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32), 2, axis=0)
    with compiled.workers() as pool:
        nearest = self_join.Nearest(2, 1, pool)
        nearest.offer(over @ over.T, 0, 0)
    np.testing.assert_array_equal(nearest.similarities, [[1], [1]])
    np.testing.assert_array_equal(nearest.ids, [[1], [0]])


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("known", [0, 20, 59])
def test_least_similarities_equal_all_products(monkeypatch, size, known):
    monkeypatch.setattr(self_join, "BLOCK", size)
    nodes = unit_rows(60, 8)
    first = self_join.least_similarities(nodes[:known]) if known else ()
    np.testing.assert_allclose(self_join.least_similarities(nodes, first), (nodes @ nodes.T).min(axis=1), atol=1e-6)
