"""The layers gat, appnp and gcnii against loops over nodes written from the equations."""
import types

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_layer, gfr_layers, gfr_options

NEAR = np.array([[1, 2, 3], [0, 4, -1], [-1, -1, -1], [8, 0, 1], [3, -1, 2], [6, 7, 8], [5, -1, -1], [0, 1, 2],
                 [7, 6, 5]])
CASES = [{"layer": "gat", "heads": 1, "residue": False}, {"layer": "gat", "heads": 2, "residue": False},
         {"layer": "gat", "heads": 2, "residue": True}, {"layer": "appnp", "restart": 0.1},
         {"layer": "appnp", "restart": 0.6},
         {"layer": "gcnii", "restart": 0.2}]


def unit(x):
    return x / np.linalg.norm(x)


def softmax(values):
    values = np.exp(np.array(values) - np.max(values))
    return values / values.sum()


def slow_gat(x, first, i, group, weights, heads, residue, number):
    P, a = weights["P"], weights["a"]
    size, parts = len(P) // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        u = [x[j] @ P[:, part] for j in group]
        scores = [a[0, part] @ (x[i] @ P[:, part]) + a[1, part] @ u_j for u_j in u]
        w = softmax([score if score > 0 else 0.2 * score for score in scores])
        parts.append(sum(w_j * u_j for w_j, u_j in zip(w, u)))
    h = unit(np.concatenate(parts))
    return unit(x[i] + h) if residue else h


def slow_appnp(x, first, i, group, weights, restart, number):
    w = softmax([weights["t"][0] * (x[i] @ x[j]) for j in group])
    return unit((1 - restart) * sum(w_j * x[j] for w_j, j in zip(w, group)) + restart * first[i])


def slow_gcnii(x, first, i, group, weights, restart, number):
    w = softmax([weights["t"][0] * (x[i] @ x[j]) for j in group])
    z = (1 - restart) * sum(w_j * x[j] for w_j, j in zip(w, group)) + restart * first[i]
    b = np.log(0.5 / number + 1)
    return unit(z @ ((1 - b) * np.eye(len(z)) + b * weights["W"]))


SLOW = {"gat": slow_gat, "appnp": slow_appnp, "gcnii": slow_gcnii}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("fields", CASES, ids=str)
def test_layer_is_the_slow_loop(fields, number):
    rng = np.random.RandomState(0)
    x, first = (np.array([unit(row) for row in rng.normal(size=(9, 4))]) for _ in range(2))
    weights = {"P": rng.normal(size=(4, 4)), "a": rng.normal(size=(2, 4)), "t": np.array([3.0]),
               "W": rng.normal(size=(4, 4))}
    kind = fields["layer"]
    rest = {name: value for name, value in fields.items() if name != "layer"}
    expected = [SLOW[kind](x, first, i, [i] + list(row[row >= 0]), weights, number=number, **rest)
                for i, row in enumerate(NEAR)]
    single = {name: value.astype(np.float32) for name, value in weights.items()
              if name in gfr_layers.LAYERS[kind].shapes(4, types.SimpleNamespace(**fields))}
    rows = x.astype(np.float32)
    h = gfr_layers.LAYERS[kind].layer(
        single, first.astype(np.float32), rows, gfr_layers.project(rows, single), np.arange(9),
        gfr_layer.members(np.arange(9), NEAR, False), types.SimpleNamespace(**fields), number)
    assert h.dtype == np.float32
    np.testing.assert_allclose(h, expected, atol=2e-6)


@pytest.mark.parametrize("concate", [False, True])
def test_initial_weights_of_the_published_layer(concate):
    options = gfr_options.resolve({"layer": "sage", "layers": 2, "concate": concate})
    weights = gfr_layers.initial(6, options, seed=3)
    assert [{name: value.shape for name, value in layer.items()} for layer in weights] == [
        {"P": (6, 6), "W": (12 if concate else 6, 6)}] * 2
    for layer in weights:
        for array in layer.values():  # uniform within 1 / sqrt(rows): inside, and not all near 0
            bound = len(array) ** -0.5
            assert array.dtype == np.float32
            assert 0.8 * bound < np.abs(array).max() <= bound
    np.testing.assert_array_equal(weights[1]["W"], gfr_layers.initial(6, options, seed=3)[1]["W"])
    assert not np.array_equal(weights[0]["P"], gfr_layers.initial(6, options, seed=4)[0]["P"])
    assert not np.array_equal(weights[0]["P"], weights[1]["P"])


@pytest.mark.parametrize("kind", ["gat", "appnp", "gcnii"])
def test_untrained_layers_average_their_neighbours(kind):
    """gat: the plain mean. The others: a mean weighted by softmax(10 s), and the restart."""
    options = gfr_options.resolve({"layer": kind, "layers": 1, "restart": 0.0})
    weights = gfr_layers.initial(4, options, seed=0)
    x = np.array([unit(row) for row in np.random.RandomState(0).normal(size=(3, 4))]).astype(np.float32)
    x = gfr_layers.enter(x, weights)
    member = np.array([[0, 1, 2]])
    h = gfr_layers.LAYERS[kind].layer(weights[0], x[:1], x, gfr_layers.project(x, weights[0]), np.array([0]), member,
                                      options, 1)
    w = np.ones(3) if kind == "gat" else softmax(10 * x @ x[0])
    expected = unit(w @ x) if kind != "gcnii" else unit((1 - np.log(1.5)) * (w @ x))
    np.testing.assert_allclose(h[0], expected, atol=1e-6)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match="3 heads cannot share 4 dimensions"):
        gfr_layers.shapes(4, gfr_options.resolve({"layer": "gat", "heads": 3}))
