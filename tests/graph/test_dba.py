import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn, query_expansion
from slim_retrieval.graph.dba import DBA


def clustered(n=40, d=6, seed=0):
    """Rows around five directions, so that similarities are of both signs."""
    random = np.random.RandomState(seed)
    rows = np.random.RandomState(99).randn(5, d)[random.randint(5, size=n)] + 0.6 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_augmented(x, others, k, alpha):
    """Return normalise(x + sum s^alpha x_j) over the k nearest of `others`, in float64 by a loop."""
    x, others = x.astype(np.float64), others.astype(np.float64)
    moved = x.copy()
    for j in sorted(range(len(others)), key=lambda j: -(x @ others[j]))[:k]:
        if x @ others[j] > 0:
            moved += (x @ others[j]) ** alpha * others[j]
    return moved / np.linalg.norm(moved)


@pytest.mark.parametrize("k, alpha", [(1, 3.0), (7, 3.0), (7, 0.0), (90, 1.5)])
def test_gallery_and_queries_equal_a_slow_loop(monkeypatch, k, alpha):
    monkeypatch.setattr(query_expansion, "BLOCK", 8)
    gallery, queries = clustered(), clustered(9, seed=1)
    model = DBA(k=k, alpha=alpha).fit(gallery)
    expected = [slow_augmented(gallery[i], np.delete(gallery, i, axis=0), k, alpha) for i in range(40)]
    np.testing.assert_allclose(model.gallery_, expected, atol=1e-5)
    expected = [slow_augmented(query, gallery, k, alpha) for query in queries]
    np.testing.assert_allclose(model.transform(queries), expected, atol=1e-5)


def test_by_hand():
    """x0 = (1, 0) and x1 = (.6, .8) with s = .6, alpha 2: x0' = (1, 0) + .36 (.6, .8), x1' = (.6, .8) + .36 (1, 0).

    The query (0, 1) is nearest to x1 as it was given, s = .8: (0, 1) + .64 (.6, .8).
    """
    model = DBA(k=1, alpha=2.0).fit(np.array([[1, 0], [0.6, 0.8]], np.float32))
    moved = np.array([[1.216, 0.288], [0.96, 0.8]])
    np.testing.assert_allclose(model.gallery_, moved / np.linalg.norm(moved, axis=1, keepdims=True), atol=1e-6)
    query = np.array([[0.384, 1.512]])
    np.testing.assert_allclose(model.transform(np.array([[0, 1]], np.float32)), query / np.linalg.norm(query),
                               atol=1e-6)


def test_queries_are_left_alone_on_demand():
    gallery, queries = clustered(), clustered(9, seed=1)
    model = DBA(expand_queries=False).fit(gallery)
    np.testing.assert_array_equal(model.transform(queries), queries)
    np.testing.assert_array_equal(model.gallery_, DBA().fit(gallery).gallery_)


def test_no_neighbours_or_an_endless_alpha_give_plain_features():
    gallery, queries = clustered(), clustered(9, seed=1)
    for model in (DBA(k=0), DBA(alpha=1e4)):
        np.testing.assert_allclose(model.fit(gallery).gallery_, gallery, atol=1e-6)
        np.testing.assert_allclose(model.transform(queries), queries, atol=1e-6)


def test_duplicates_stay_equal_and_keep_their_direction():
    """With k = 2 each of three copies sees the other two: normalise(3 x) = x."""
    gallery = np.repeat(clustered(8), 3, axis=0)
    np.testing.assert_allclose(DBA(k=2).fit(gallery).gallery_, gallery, atol=1e-6)


def test_a_reordered_gallery_gives_reordered_features():
    gallery, queries = clustered(), clustered(9, seed=1)
    order = np.random.RandomState(2).permutation(40)
    model, other = DBA(k=6).fit(gallery), DBA(k=6).fit(gallery[order])
    np.testing.assert_allclose(other.gallery_, model.gallery_[order], atol=1e-6)
    np.testing.assert_allclose(other.transform(queries), model.transform(queries), atol=1e-6)


def test_stored_neighbours_are_used_and_nothing_given_is_changed(tmp_path):
    gallery, queries = clustered(), clustered(9, seed=1)
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")  # a write would raise
    near = knn.neighbors(gallery, 12)
    before = [a.copy() for a in (queries,) + near]
    model = DBA(k=6).fit(mapped, near)
    fitted = model.gallery_.copy()
    model.transform(queries)
    np.testing.assert_array_equal(model.gallery_, fitted)
    np.testing.assert_allclose(fitted, DBA(k=6).fit(gallery, knn.neighbors(gallery, 2)).gallery_, atol=1e-6)
    for array, copy in zip((queries,) + near, before):
        np.testing.assert_array_equal(array, copy)
    # The ids that are given are followed: with pads for neighbours nothing moves.
    pads = np.full((40, 6), -1, np.int32), np.full((40, 6), -1, np.float32)
    np.testing.assert_allclose(DBA(k=6).fit(gallery, pads).gallery_, gallery, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2])
def test_tiny_galleries(n):
    model = DBA().fit(clustered(n))
    assert model.needed_neighbors(n) == n - 1 and model.report_ == {"k": n - 1}
    assert model.gallery_.shape == (n, 6) and np.isfinite(model.transform(clustered(3, seed=1))).all()


def test_widths_that_differ():
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        DBA(expand_queries=False).fit(clustered(5, 4)).transform(clustered(2, 3))
