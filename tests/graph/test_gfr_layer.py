"""gfr_layer against a loop over nodes written from the equations."""
import itertools
import types

import numpy as np
import pytest

from slim_retrieval.graph import gfr_layer

OPTIONS = [dict(zip(["aggregate", "weighted", "residue", "concate"], values))
           for values in itertools.product(["max", "mean"], [False, True], [False, True], [False, True])]


def unit(x):
    return x / np.linalg.norm(x)


def slow_node(x, i, neighbours, P, W, aggregate, weighted, residue, concate):
    """One node in float64, straight from the equations."""
    group = list(neighbours) if concate else [i] + list(neighbours)
    if not group:
        group = [i]
    w = [np.exp(x[i] @ x[j]) for j in group]
    w = [value / sum(w) for value in w] if weighted else [1.0] * len(group)
    values = [w_j * (x[j] @ P) for w_j, j in zip(w, group)]
    z = [max(column) if aggregate == "max" else sum(column) / len(column) for column in zip(*values)]
    h = unit(np.concatenate([x[i], z]) @ W if concate else np.array(z) @ W)
    return unit(x[i] + h) if residue else h


@pytest.mark.parametrize("fields", OPTIONS, ids=str)
def test_layer_is_the_slow_loop(fields):
    rng = np.random.RandomState(0)
    x = rng.normal(size=(9, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    P, W = rng.normal(size=(4, 4)), rng.normal(size=(8 if fields["concate"] else 4, 4))
    near = np.array([[1, 2, 3], [0, 4, -1], [-1, -1, -1], [8, 0, 1], [3, -1, 2], [6, 7, 8], [5, -1, -1], [0, 1, 2],
                     [7, 6, 5]])
    expected = [slow_node(x, i, row[row >= 0], P, W, **fields) for i, row in enumerate(near)]
    rows = x.astype(np.float32)
    member = gfr_layer.members(np.arange(9), near, fields["concate"])
    h = gfr_layer.layer(rows, rows @ P.astype(np.float32), np.arange(9), member, W.astype(np.float32),
                        types.SimpleNamespace(**fields))
    assert h.dtype == np.float32
    np.testing.assert_allclose(h, expected, atol=2e-6)


def test_members_by_hand():
    near = np.array([[4, -1], [-1, -1]])
    np.testing.assert_array_equal(gfr_layer.members([2, 3], near, concate=False), [[2, 4, -1], [3, -1, -1]])
    # concate: self is left out, except where it is alone.
    np.testing.assert_array_equal(gfr_layer.members([2, 3], near, concate=True), [[-1, 4, -1], [3, -1, -1]])


def test_aggregate_by_hand():
    rows = np.array([[1, -2], [3, -4], [-9, -9]], np.float32)
    member = np.array([[0, 1], [1, -1]])
    np.testing.assert_array_equal(gfr_layer.aggregate(rows, member, "max"), [[3, -2], [3, -4]])
    np.testing.assert_array_equal(gfr_layer.aggregate(rows, member, "mean"), [[2, -3], [3, -4]])
    half = np.full((2, 2), 0.5, np.float32)
    np.testing.assert_array_equal(gfr_layer.aggregate(rows, member, "max", half), [[1.5, -1], [1.5, -2]])
    np.testing.assert_array_equal(rows, [[1, -2], [3, -4], [-9, -9]])


def test_normalise_keeps_zero_rows_and_gives_unit_rows():
    x = np.array([[0, 0], [3, 4], [3e-8, 4e-8], [3e8, 4e8]], np.float32)
    np.testing.assert_allclose(gfr_layer.normalise(x), [[0, 0], [.6, .8], [.6, .8], [.6, .8]], rtol=1e-6)
