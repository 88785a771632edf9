import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.aqe import AQE


def unit_rows(n, d, seed):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_mean(query, gallery, k):
    """Return the normalised sum of the query and its k best images, in float64 by a loop."""
    order = sorted(range(len(gallery)), key=lambda j: -float(query @ gallery[j]))
    moved = query.astype(np.float64)
    for j in order[:k]:
        if query @ gallery[j] > 0:
            moved = moved + gallery[j]
    return moved / np.linalg.norm(moved)


@pytest.mark.parametrize("k", [1, 6, 60])  # 60: more than the 40 images that there are
def test_equals_a_slow_loop_and_changes_nothing(k):
    queries, gallery = unit_rows(9, 6, 0), unit_rows(40, 6, 1)
    before = queries.copy(), gallery.copy()
    model = AQE(k=k).fit(gallery)
    np.testing.assert_allclose(model.transform(queries), [slow_mean(q, gallery, k) for q in queries], atol=1e-5)
    assert model.gallery_ is gallery and model.needed_neighbors(40) == 0
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(gallery, before[1])


def test_by_hand_all_neighbours_weigh_the_same_and_opposite_ones_nothing():
    """q = (1, 0): (.6, .8) and (.8, -.6) count fully, giving (2.4, .2); (-1, 0) and (0, 1) do not, though s^0 = 1."""
    gallery = np.array([[0.6, 0.8], [-1, 0], [0.8, -0.6], [0, 1]], np.float32)
    moved = AQE(k=4).fit(gallery).transform(np.array([[1, 0]], np.float32))
    np.testing.assert_allclose(moved, np.array([[2.4, 0.2]]) / np.hypot(2.4, 0.2), atol=1e-6)


def test_a_reordered_gallery_gives_the_same_queries():
    queries, gallery = unit_rows(9, 6, 0), unit_rows(40, 6, 1)
    moved = AQE(k=5).fit(gallery[::-1].copy()).transform(queries)
    np.testing.assert_allclose(moved, AQE(k=5).fit(gallery).transform(queries), atol=1e-6)


def test_widths_that_differ():
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        AQE().fit(unit_rows(5, 4, 0)).transform(unit_rows(2, 3, 0))
