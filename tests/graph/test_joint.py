import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import joint, knn

# Vectors whose inner products are exact in float32, so that ties are ties.
EXACT = np.array([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [-1, 0, 0, 0], [0, 0, 1, 0]], np.float32)


def exact_rows(n, seed):
    return EXACT[np.random.RandomState(seed).randint(len(EXACT), size=n)]


def unit_rows(n, d, seed):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_neighbors(gallery, queries, k):
    """Sort (-similarity, id) of all pairs of nodes with Python."""
    nodes = np.concatenate([gallery, queries]).astype(np.float64)
    result = np.full((len(nodes), k), -1)
    for i, node in enumerate(nodes):
        pairs = sorted((-float(node @ other), j) for j, other in enumerate(nodes) if j != i)[:k]
        result[i, :len(pairs)] = [j for _, j in pairs]
    return result


@pytest.mark.parametrize("k", [1, 5, 30, 36, 50])
@pytest.mark.parametrize("stored", [None, 3, 24])
def test_equal_a_slow_loop(monkeypatch, k, stored):
    monkeypatch.setattr(joint, "ROWS", 7)
    gallery, queries = unit_rows(25, 6, 0), unit_rows(12, 6, 1)
    near = None if stored is None else knn.neighbors(gallery, stored)
    ids, similarities = joint.neighbors(gallery, queries, near, k)
    expected = slow_neighbors(gallery, queries, k)
    np.testing.assert_array_equal(ids, expected)
    nodes = np.concatenate([gallery, queries])
    dots = np.take_along_axis(nodes @ nodes.T, np.maximum(expected, 0), axis=1)
    np.testing.assert_allclose(similarities, np.where(expected < 0, -1, dots), atol=1e-6)
    assert ids.dtype == np.int32 and similarities.dtype == np.float32


@pytest.mark.parametrize("k", [1, 6, 20])
def test_duplicates_tie_by_the_smaller_id_and_self_is_left_out(monkeypatch, k):
    gallery, queries = exact_rows(30, 0), exact_rows(14, 1)  # 44 rows of 5 kinds
    ids, _ = joint.neighbors(gallery, queries, knn.neighbors(gallery, 25), k)
    np.testing.assert_array_equal(ids, slow_neighbors(gallery, queries, k))


def test_beyond_the_nodes_there_are_pads():
    ids, similarities = joint.neighbors(EXACT[:2], EXACT[1:2], None, 4)
    np.testing.assert_array_equal(ids, [[1, 2, -1, -1], [2, 0, -1, -1], [1, 0, -1, -1]])
    np.testing.assert_array_equal(similarities, [[0.5, 0.5, -1, -1], [1, 0.5, -1, -1], [1, 0.5, -1, -1]])
    np.testing.assert_array_equal(joint.neighbors(EXACT[:1], EXACT[1:2], None, 2)[0], [[1, -1], [0, -1]])


def test_stored_pads_stay_behind_negative_similarities():
    near = np.array([[1, -1], [0, -1]], np.int32), np.array([[0.5, -1], [0.5, -1]], np.float32)
    ids, similarities = joint.neighbors(EXACT[:2], EXACT[3:4], near, 2)
    np.testing.assert_array_equal(ids, [[1, 2], [0, 2], [1, 0]])  # EXACT[3] is the opposite of EXACT[0]
    np.testing.assert_array_equal(similarities, [[0.5, -1], [0.5, -0.5], [-0.5, -1]])


def test_the_gallery_is_not_searched_again(monkeypatch):
    gallery, queries = unit_rows(25, 6, 0), unit_rows(4, 6, 1)
    near, search = knn.neighbors(gallery, 9), knn.search
    monkeypatch.setattr(knn, "neighbors", lambda rows, k, block=1024: (
        pytest.fail("searched again") if len(rows) == 25 else search(rows, rows, k)))
    assert joint.neighbors(gallery, queries, near, 9)[0].shape == (29, 9)


def test_inputs_are_not_changed_and_may_be_memory_mapped(tmp_path):
    arrays = dict(zip("gqis", (unit_rows(20, 5, 0), unit_rows(8, 5, 1)) + knn.neighbors(unit_rows(20, 5, 0), 6)))
    mapped = {}
    for name, array in arrays.items():
        np.save(str(tmp_path / (name + ".npy")), array)
        mapped[name] = np.load(str(tmp_path / (name + ".npy")), mmap_mode="r")  # writing to it would raise
    got = joint.neighbors(mapped["g"], mapped["q"], (mapped["i"], mapped["s"]), 5)
    for result, expected in zip(got, joint.neighbors(arrays["g"], arrays["q"], (arrays["i"], arrays["s"]), 5)):
        np.testing.assert_array_equal(result, expected)


def test_nodes_are_rows_of_gallery_and_queries_stacked():
    gallery, queries = unit_rows(6, 3, 0), unit_rows(4, 3, 1)
    nodes, stacked = joint.Nodes(gallery, queries), np.concatenate([gallery, queries])
    assert len(nodes) == 10 and nodes.shape == (10, 3)
    for wanted in (slice(4, 8), slice(0, 3), slice(7, 20), np.array([9, 0, 9, 5]), np.array([], int)):
        np.testing.assert_array_equal(nodes[wanted], stacked[wanted])


def test_k_below_one_is_refused():
    with pytest.raises(InputError, match="k is 0"):
        joint.neighbors(EXACT, EXACT, None, 0)
