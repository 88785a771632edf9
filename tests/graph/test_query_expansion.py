import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import query_expansion


def unit_rows(n, d, seed):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_expansion(query, gallery, k, alpha):
    """Sum by a loop, in float64."""
    moved = query.astype(np.float64)
    for j in sorted(range(len(gallery)), key=lambda j: -float(query @ gallery[j]))[:k]:
        similarity = float(query.astype(np.float64) @ gallery[j])
        if similarity > 0:
            moved = moved + similarity ** alpha * gallery[j]
    return moved / np.sqrt(moved @ moved)


@pytest.mark.parametrize("k, alpha", [(1, 3.0), (7, 3.0), (7, 0.0), (50, 1.5)])
def test_equals_a_slow_loop_and_changes_nothing(monkeypatch, k, alpha):
    monkeypatch.setattr(query_expansion, "BLOCK", 4)
    queries, gallery = unit_rows(9, 6, 0), unit_rows(40, 6, 1)
    before = queries.copy(), gallery.copy()
    model = query_expansion.AlphaQE(k=k, alpha=alpha).fit(gallery)
    result = model.transform(queries)
    expected = [slow_expansion(query, gallery, k, alpha) for query in queries]
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert result.dtype == np.float32 and model.gallery_ is gallery
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(gallery, before[1])


def test_by_hand():
    """q = (1, 0), neighbour (.6, .8) with similarity .6 and alpha 1: q + .6 x = (1.36, .48)."""
    model = query_expansion.AlphaQE(k=1, alpha=1.0).fit(np.array([[0.6, 0.8], [-1, 0]], np.float32))
    result = model.transform(np.array([[1, 0]], np.float32))
    np.testing.assert_allclose(result, np.array([[1.36, 0.48]]) / np.hypot(1.36, 0.48), atol=1e-6)


def test_a_query_that_resembles_nothing_stays():
    model = query_expansion.AlphaQE(k=2, alpha=0.0).fit(np.array([[0, 1], [-1, 0]], np.float32))
    np.testing.assert_allclose(model.transform(np.array([[1, 0]], np.float32)), [[1, 0]])


def test_widths_that_differ():
    model = query_expansion.AlphaQE().fit(unit_rows(5, 4, 0))
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        model.transform(unit_rows(2, 3, 0))
