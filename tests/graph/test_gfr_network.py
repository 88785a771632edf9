"""Networks of GFR layers: between the layers, after the last, queries, and depth."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_layers, knn
from slim_retrieval.graph.gfr import GFR

KINDS = [{"layer": "sage"}, {"layer": "gat", "heads": 2, "residue": True}, {"layer": "appnp"}, {"layer": "gcnii"}]
AFTER = [{}, {"pair_norm": True}, {"jump": "concat"}, {"jump": "max"}, {"activate": True}]


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def network(width=6, block=4096, noise=0.1, **fields):
    """Return a GFR with weights that are no longer the first ones, as if it had learned."""
    model = GFR(block=block, metric="none", **fields)
    model.width_, model.weights_ = width, gfr_layers.initial(width, model.options, seed=1)
    rng = np.random.RandomState(2)
    for layer in model.weights_:
        for value in layer.values():
            value += noise * rng.normal(size=value.shape).astype(np.float32)
    return model


def unit(x):
    return x / np.linalg.norm(x)


def neighbours(x, k):
    return knn.neighbors(x, k)[0]


@pytest.mark.parametrize("after", [{}, {"jump": "concat"}, {"jump": "max"}, {"pair_norm": True}, {"activate": True}],
                         ids=str)
def test_two_layers_and_what_is_made_of_them_by_hand(after):
    """appnp with restart 1 / 2, node by node; its layer itself is checked in test_gfr_layers.py."""
    x = unit_rows(8, 4)
    model = network(4, layer="appnp", layers=2, neighbors=2, restart=0.5, **after).fit(x)
    near = neighbours(x, 2)
    first = [unit(row @ model.weights_[0]["I"].astype(np.float64)) for row in x]
    pieces, current = [first], first
    for weights in model.weights_:
        h = []
        for i in range(8):
            group = [i] + list(near[i])
            w = np.exp([weights["t"][0] * (current[i] @ current[j]) for j in group])
            h.append(unit(0.5 * sum(w_j * current[j] for w_j, j in zip(w / w.sum(), group)) + 0.5 * first[i]))
        if "pair_norm" in after:
            h = [unit(row - np.mean(h, axis=0)) for row in h]
        pieces.append(h)
        current = [np.maximum(row, 0) for row in h] if "activate" in after else h
    expected = {"concat": [unit(np.concatenate(rows)) for rows in zip(*pieces)],
                "max": [unit(np.maximum(a, b)) for a, b in zip(*pieces[1:])]}.get(after.get("jump"), pieces[-1])
    np.testing.assert_allclose(model.gallery_, expected, atol=2e-6)


@pytest.mark.parametrize("after", AFTER, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_query_equal_to_a_gallery_image_gets_its_feature(kind, after):
    """Where query and image have the same neighbours, `transform` and `fit` are two ways to one value."""
    x = unit_rows(20, 6)
    near = neighbours(x, 3)
    model = network(layers=3, neighbors=3, **dict(kind, **after)).fit(x, neighbors=(near, None))
    before = model.gallery_.copy()
    moved = model.transform(x[4:9], neighbors=(near[4:9], None))
    np.testing.assert_allclose(moved, model.gallery_[4:9], atol=2e-6)
    np.testing.assert_array_equal(model.gallery_, before)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_blocks_and_memory_maps_do_not_change_results(kind, tmp_path):
    np.save(str(tmp_path / "x.npy"), unit_rows(23, 6))
    mapped, queries = np.load(str(tmp_path / "x.npy"), mmap_mode="r"), unit_rows(7, 6, seed=1)
    whole = network(layers=2, pair_norm=True, **kind).fit(unit_rows(23, 6))
    cut = network(layers=2, pair_norm=True, block=5, **kind).fit(mapped)
    np.testing.assert_allclose(cut.gallery_, whole.gallery_, atol=1e-6)
    np.testing.assert_allclose(cut.transform(queries), whole.transform(queries), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_queries_without_neighbours_pass_through_the_same_weights(kind):
    """Alone, in an empty gallery, and with pads for neighbours: one value, and another one than with neighbours."""
    queries, model = unit_rows(4, 6, seed=1), network(layers=2, **kind)
    alone = model.fit(np.zeros((0, 6), np.float32)).transform(queries)
    assert model.gallery_.shape == (0, 6)
    model.fit(unit_rows(20, 6))
    np.testing.assert_allclose(model.transform(queries, alone=True), alone, atol=1e-6)
    np.testing.assert_allclose(model.transform(queries, neighbors=(np.full((4, 10), -1), None)), alone, atol=1e-6)
    assert np.abs(model.transform(queries) - alone).max() > 0.01


def effective_rank(rows):
    """Return exp of the entropy of the squared singular values' shares: 1 when all rows point the same way."""
    share = np.linalg.svd(rows, compute_uv=False) ** 2
    share = share / share.sum()
    return np.exp(-np.sum(share * np.log(share + 1e-30)))


def test_deep_averaging_smooths_everything_away_and_restart_and_pair_norm_prevent_it():
    """Random directions in 8 dimensions; what is left of them after 2 and after 24 layers?"""
    x = unit_rows(60, 8)
    left = {}
    for name, fields in {"gat": {"layer": "gat"}, "pair_norm": {"layer": "gat", "pair_norm": True},
                         "appnp": {"layer": "appnp", "restart": 0.3}, "gcnii": {"layer": "gcnii"}}.items():
        left[name] = [effective_rank(network(8, layers=layers, noise=0.0, **fields).fit(x).gallery_)
                      for layers in (2, 24)]
    assert effective_rank(x) > 7 and left["gat"][1] < 1.01
    assert left["pair_norm"][1] > 3
    assert left["appnp"][1] > 0.9 * left["appnp"][0] > 6 and left["gcnii"][1] > 0.8 * left["gcnii"][0] > 5
