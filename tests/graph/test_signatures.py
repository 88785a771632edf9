import numpy as np

from slim_retrieval.graph import knn, signatures


def rows_of(n, d, seed):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow(ids, similarities):
    """The formula of the docstring, entry by entry."""
    n = len(ids)
    lists = [[i] + [j for j in ids[i] if j >= 0] for i in range(n)]
    weight = [dict(zip(lists[i], [1.0] + [max(0.0, s) ** 2 for s in similarities[i]])) for i in range(n)]
    a = np.zeros((n, n))
    for i in range(n):
        for j in lists[i][:10]:
            a[i, j] = 1
    for _ in range(2):
        both = a + a.T
        a = np.stack([sum(weight[i][j] * both[j] for j in lists[i][:3]) for i in range(n)])
        a /= np.linalg.norm(a, axis=1, keepdims=True)
    return a


def test_the_formula_by_loops():
    gallery = rows_of(40, 5, 0)
    ids, similarities = knn.neighbors(gallery, 15)
    result = signatures.signatures(gallery, ids, similarities)
    assert result.dtype == np.float32 and result.shape == (40, 40)
    np.testing.assert_allclose(result, slow(ids, similarities), atol=1e-5)


def test_fewer_neighbours_than_wanted_and_pads():
    gallery = rows_of(4, 3, 1)
    ids, similarities = knn.neighbors(gallery, 6)
    assert (ids == -1).any()
    np.testing.assert_allclose(signatures.signatures(gallery, ids, similarities), slow(ids, similarities), atol=1e-5)


def test_narrow_signatures_add_up_the_columns_of_images_near_the_same_one():
    gallery = rows_of(50, 4, 2)
    ids, similarities = knn.neighbors(gallery, 12)
    centres = np.sort(np.random.RandomState(3).permutation(50)[:8])
    cell = np.array([np.argmax([row @ gallery[c] for c in centres]) for row in gallery])
    assert list(cell[centres]) == list(range(8))
    full = slow(ids, similarities)
    expected = np.stack([full[:, cell == c].sum(axis=1) for c in range(8)], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    result = signatures.signatures(gallery, ids, similarities, seed=3, width=8)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_array_equal(signatures.signatures(gallery, ids, similarities, seed=3, width=8), result)


def test_large_galleries_are_narrow(monkeypatch):
    monkeypatch.setattr(signatures, "EXACT_NODES", 20)
    monkeypatch.setattr(signatures, "WIDTH", 6)
    gallery = rows_of(30, 4, 4)
    assert signatures.signatures(gallery, *knn.neighbors(gallery, 10)).shape == (30, 6)


def test_a_query_takes_its_nearest_neighbours_signature():
    table = rows_of(9, 5, 5)
    ids = np.array([[4, 1], [0, 8]])
    np.testing.assert_array_equal(signatures.of_queries(ids, table), table[[4, 0]])
