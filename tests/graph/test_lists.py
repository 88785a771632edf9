import numpy as np
import pytest

from slim_retrieval.graph import lists
from slim_retrieval.graph.compiled import workers

pytest.importorskip("numba")


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_nearest_lists_are_those_of_a_sort():
    rows, centres = unit_rows(500, 6), unit_rows(40, 6, 1)
    with workers() as pool:
        found = lists.nearest(rows, centres, 4, pool)
        first = lists.nearest_one(rows, centres, pool)
    expected = np.argsort(-(rows @ centres.T), axis=1)
    np.testing.assert_array_equal(found, expected[:, :4])
    np.testing.assert_array_equal(first, expected[:, 0])


def test_centroids_are_the_directions_of_clusters_far_apart():
    directions = np.eye(5, dtype=np.float32)
    rows = np.repeat(directions, 60, axis=0) + 0.01 * np.random.RandomState(0).randn(300, 5).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with workers() as pool:
        found = lists.centroids(rows, 15, np.random.RandomState(0), pool)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert set(found.argmax(axis=1)) == set(range(5)) and found.max(axis=1).min() > 0.999


def test_probes_needed_are_counted_by_hand():
    centres = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    angles = np.deg2rad([10, 40, 50, 130, 170])  # lists 0, 0, 1, 1, 2
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pairs = np.array([0, 0, 0, 1]), np.array([1, 2, 4, 3])
    # 10 and 40: one list. 10 and 50: 50 looks into list 0 second, as 10 into list 1. 10 and 170: third, either way.
    # 40 and 130: list 1 is 40's second.
    np.testing.assert_array_equal(lists.probes_needed(pairs, rows, rows, centres), [1, 2, 3, 2])


def test_one_side_is_enough():
    centres = np.array([[1, 0], [0, 1], [0.9, -0.436], [-1, 0]], np.float32)
    rows = np.array([[0.98, -0.2], [0.6, 0.8]], np.float32)  # list 0 (then 2, then 1) and list 1 (then 0)
    np.testing.assert_array_equal(lists.probes_needed(([0], [1]), rows, rows, centres), [2])


def test_members_of_each_list():
    order, bounds = lists.members(np.array([2, 0, 2, 0, 0]), 4)
    assert [order[a:b].tolist() for a, b in zip(bounds[:-1], bounds[1:])] == [[1, 3, 4], [], [0, 2], []]
