"""Lists of neighbours after a change against those of a search of all."""
import numpy as np
import pytest

from slim_retrieval.graph import growth_graph, growth_state, knn


def rows(n, seed, d=6):
    made = np.random.RandomState(seed).randn(n, d)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def updated(before, after, needed, width):
    came_from = growth_state.origins(growth_state.digests(before), growth_state.digests(after))
    near = knn.neighbors(before, min(width, len(before) - 1))
    return growth_graph.update(near, came_from, after, needed, width)


def check(found, after, needed):
    """Each list begins as that of a search of all does, as far as it goes, and goes as far as is needed."""
    ids, similarities = found[:2]
    true_ids, true = knn.neighbors(after, ids.shape[1])
    valid = ids >= 0
    lengths = valid.sum(axis=1)
    assert lengths.min() >= min(needed, len(after) - 1)
    assert (valid == (np.arange(ids.shape[1]) < lengths[:, None])).all()
    np.testing.assert_array_equal(ids[valid], true_ids[valid])
    np.testing.assert_allclose(similarities[valid], true[valid], atol=1e-6)
    assert (similarities[~valid] == -1).all()


@pytest.mark.parametrize("added, deleted", [(0, 0), (1, 0), (0, 1), (30, 0), (0, 30), (17, 40)])
def test_lists_are_those_of_a_search_of_all(added, deleted):
    before = rows(120, 0)
    kept = np.sort(np.random.RandomState(1).permutation(120)[deleted:])
    after = np.concatenate([before[kept], rows(added, 2)])
    check(updated(before, after, 5, 9), after, 5)
    mixed = after[np.random.RandomState(3).permutation(len(after))]
    check(updated(before, mixed, 5, 9), mixed, 5)


def test_only_lists_that_are_too_short_are_searched_anew():
    before = rows(60, 0)
    near = knn.neighbors(before, 8)[0]
    gone = near[7, :4]  # of 8 four are left, one less than needed
    after = np.delete(before, gone, 0)
    lost = np.isin(near, gone).sum(axis=1)
    expected = int(np.sum(np.delete(lost, gone) > 3))
    assert 1 <= expected < 20
    assert updated(before, after, 5, 8)[2] == {"searched": expected, "taken_in": 0}


def test_a_gallery_smaller_than_the_lists_grows_and_shrinks():
    large, small = rows(30, 0), rows(30, 0)[:4]
    check(updated(small, large, 10, 12), large, 10)
    check(updated(large, small, 10, 12), small, 10)
    check(updated(small[:1], small[:2], 10, 12), small[:2], 10)


def test_ten_changes_in_a_row_leave_no_trace():
    gallery, random = rows(80, 0), np.random.RandomState(4)
    ids, similarities = knn.neighbors(gallery, 9)
    for step in range(10):
        after = np.concatenate([gallery[np.sort(random.permutation(80)[8:])], rows(8, 10 + step)])
        came_from = growth_state.origins(growth_state.digests(gallery), growth_state.digests(after))
        ids, similarities, _ = growth_graph.update((ids, similarities), came_from, after, 5, 9)
        gallery = after
    check((ids, similarities), gallery, 5)


def test_duplicates_are_neighbours_of_each_other_and_of_none_twice():
    before = np.repeat(rows(20, 0), 2, axis=0)
    after = np.concatenate([before[1:], before[:3], before[:1]])
    ids, similarities, _ = updated(before, after, 6, 9)
    true = knn.neighbors(after, 9)[1]
    valid = ids >= 0
    np.testing.assert_allclose(similarities[valid], true[valid], atol=1e-6)
    for i, found in enumerate(ids):
        found = found[found >= 0]
        assert i not in found and len(set(found)) == len(found) >= 6
        np.testing.assert_allclose(after[found] @ after[i], similarities[i, :len(found)], atol=1e-6)


def test_rows_are_found_again_in_any_order_and_equal_ones_one_for_one():
    before = rows(5, 0)[[0, 1, 1, 2, 3]]
    after = np.concatenate([before[[3, 1, 1]], before[[1]], rows(1, 9), before[[0]]])
    came_from = growth_state.origins(growth_state.digests(before), growth_state.digests(after))
    assert list(came_from) == [3, 1, 2, -1, -1, 0]
