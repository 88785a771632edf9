import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn

# Vectors whose inner products are exact in float32, so that ties are ties: +-1, +-0.5 and 0 with -0.0 among them.
EXACT = np.array([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [-1, 0, 0, 0], [0, 0, 1, 0],
                  [-0.5, 0.5, 0.5, 0.5], [0, 0, 0, -1]], np.float32)


def exact_rows(n, seed):
    return EXACT[np.random.RandomState(seed).randint(len(EXACT), size=n)]


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_search(queries, gallery, k, skip_self=False):
    """Sort (-similarity, id) with Python."""
    result = []
    for i, query in enumerate(queries):
        scored = [(-float(np.dot(query.astype(np.float64), row.astype(np.float64))), j)
                  for j, row in enumerate(gallery) if not (skip_self and i == j)]
        result.append([j for _, j in sorted(scored)][:k])
    return np.array(result)


@pytest.mark.parametrize("k", [1, 4, 39, 40])
@pytest.mark.parametrize("gallery_block", [7, 8192])
def test_search_equals_a_slow_loop_ties_by_the_smaller_id(monkeypatch, k, gallery_block):
    monkeypatch.setattr(knn, "GALLERY_BLOCK", gallery_block)
    queries, gallery = exact_rows(11, 0), exact_rows(40, 1)
    ids, similarities = knn.search(queries, gallery, k, block=3)
    np.testing.assert_array_equal(ids, slow_search(queries, gallery, k))
    np.testing.assert_array_equal(similarities, np.take_along_axis(queries @ gallery.T, ids, axis=1))
    assert ids.dtype == np.int32 and similarities.dtype == np.float32


@pytest.mark.parametrize("k", [5, 25])
def test_search_equals_faiss(monkeypatch, k):
    faiss = pytest.importorskip("faiss")
    monkeypatch.setattr(knn, "GALLERY_BLOCK", 100)
    queries, gallery = unit_rows(50, 16, 0), unit_rows(3000, 16, 1)
    ids, similarities = knn.search(queries, gallery, k)
    expected, expected_ids = faiss.knn(queries, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_allclose(similarities, expected, atol=1e-6)
    assert all(len(set(row)) == k for row in ids)
    assert np.mean(ids == expected_ids) > 0.99  # others are within rounding of each other


def test_beyond_the_gallery_ids_are_padded_with_minus_one():
    ids, similarities = knn.search(EXACT[:2], EXACT[:3], 5)
    np.testing.assert_array_equal(ids, [[0, 1, 2, -1, -1], [1, 0, 2, -1, -1]])
    np.testing.assert_array_equal(similarities, [[1, 0.5, 0.5, -1, -1], [1, 0.5, 0, -1, -1]])


def test_similarities_a_little_over_one_are_clipped():
    over = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    assert (over @ over.T)[0, 0] > 1
    assert knn.search(over, over, 1)[1][0, 0] == 1
    assert knn.search(over, -over, 1)[1][0, 0] == -1


def test_neighbors_equal_a_slow_loop_among_duplicates():
    gallery = exact_rows(40, 3)  # 40 rows of 7 kinds: each has several exact duplicates
    ids, similarities = knn.neighbors(gallery, 6, block=11)
    np.testing.assert_array_equal(ids, slow_search(gallery, gallery, 6, skip_self=True))
    np.testing.assert_array_equal(similarities, np.take_along_axis(gallery @ gallery.T, ids, axis=1))


def test_self_is_dropped_by_id_even_where_it_was_not_found():
    gallery = np.repeat(EXACT[:1], 50, axis=0)  # all tie: row 49 is not among its own four best
    ids, _ = knn.neighbors(gallery, 3)
    assert ids.shape == (50, 3)
    assert not np.any(ids == np.arange(50)[:, None])
    assert all(len(set(row)) == 3 for row in ids)
    assert ids.min() >= 0


def test_neighbors_of_tiny_galleries_are_padded():
    np.testing.assert_array_equal(knn.neighbors(EXACT[:2], 3)[0], [[1, -1, -1], [0, -1, -1]])
    np.testing.assert_array_equal(knn.neighbors(EXACT[:1], 2)[0], [[-1, -1]])
    assert knn.neighbors(EXACT[:1], 0)[0].shape == (1, 0)


@pytest.mark.parametrize("k", [3, 150])
def test_a_memory_mapped_gallery_gives_the_same(tmp_path, k):
    gallery = unit_rows(200, 8)
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")
    for got, expected in zip(knn.search(gallery[:9], mapped, k), knn.search(gallery[:9], gallery, k)):
        np.testing.assert_array_equal(got, expected)


def test_k_below_one_is_refused():
    with pytest.raises(InputError, match="k is 0"):
        knn.search(EXACT, EXACT, 0)


def test_half_of_all_pairs_gives_the_same_as_a_search(monkeypatch):
    pytest.importorskip("numba")
    gallery = exact_rows(60, 4)
    assert not knn.by_pairs(9, 60)
    monkeypatch.setattr(knn, "JOIN_FEWEST", 50)
    assert knn.by_pairs(9, 60) and not knn.by_pairs(knn.self_join.MOST + 1, 60) and not knn.by_pairs(0, 60)
    np.testing.assert_array_equal(knn.neighbors(gallery, 9)[0], slow_search(gallery, gallery, 9, skip_self=True))
