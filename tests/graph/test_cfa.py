import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cfa, knn, side_information


def clustered(n=60, d=8, seed=0, spread=0.5, centres=6):
    random = np.random.RandomState(seed)
    rows = random.randn(centres, d)[random.randint(centres, size=n)] + spread * random.randn(n, d)
    return unit(rows).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def dense_scale(current, source, k, alpha, gamma, joined=lambda near, i, j: j in near[i] and i in near[j]):
    """Return normalise((I - alpha S)^-1 (1 - alpha) X) by loops and a dense solve in float64."""
    current, source = current.astype(np.float64), source.astype(np.float64)
    n, similarities = len(source), source @ source.T
    near = [sorted((j for j in range(n) if j != i), key=lambda j, i=i: -similarities[i, j])[:k] for i in range(n)]
    affinity = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j and joined(near, i, j):
                affinity[i, j] = max(0, similarities[i, j]) ** gamma
    degrees = affinity.sum(axis=1)
    scale = np.array([1 / np.sqrt(d) if d > 0 else 0 for d in degrees])
    matrix = np.eye(n) - alpha * scale[:, None] * affinity * scale
    return unit(np.linalg.solve(matrix, (1 - alpha) * current))


def test_one_level_equals_the_dense_formula():
    gallery = clustered()
    result = cfa.CFA(levels=[{"k": [6], "alpha": 0.9}], gamma=2.5, tolerance=1e-6).fit(gallery).gallery_
    np.testing.assert_allclose(result, dense_scale(gallery, gallery, 6, 0.9, 2.5), atol=1e-5)


def test_union_edges_equal_the_dense_formula():
    gallery = clustered()
    result = cfa.CFA(levels=[{"k": [4], "alpha": 0.8}], edges="knn", tolerance=1e-6).fit(gallery).gallery_
    expected = dense_scale(gallery, gallery, 4, 0.8, 3.0, lambda near, i, j: j in near[i] or i in near[j])
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_scales_are_a_weighted_mean_of_normalised_solutions():
    gallery = clustered()
    level = {"k": [3, 6, 9], "weights": [1, 2, 0.5], "alpha": 0.9}
    result = cfa.CFA(levels=[level], tolerance=1e-6).fit(gallery).gallery_
    parts = [dense_scale(gallery, gallery, k, 0.9, 3.0) for k in (3, 6, 9)]
    np.testing.assert_allclose(result, unit(parts[0] + 2 * parts[1] + 0.5 * parts[2]), atol=1e-5)


@pytest.mark.parametrize("graph_from", ["original", "previous"])
def test_levels_feed_each_other(graph_from):
    gallery = clustered()
    levels = [{"k": [5], "alpha": 0.7}, {"k": [8], "alpha": 0.9}]
    result = cfa.CFA(levels=levels, graph_from=graph_from, tolerance=1e-6).fit(gallery).gallery_
    first = dense_scale(gallery, gallery, 5, 0.7, 3.0)
    second = dense_scale(first, gallery if graph_from == "original" else first, 8, 0.9, 3.0)
    np.testing.assert_allclose(result, second, atol=2e-5)


def test_a_query_follows_its_neighbours_level_by_level():
    gallery, queries = clustered(), clustered(7, seed=5)
    model = cfa.CFA(levels=[{"k": [5], "alpha": 0.7}, {"k": [8], "alpha": 0.9}], queries="augmented", query_neighbors=4,
                    gamma=2.0)
    result = model.fit(gallery).transform(queries)
    first = dense_scale(gallery, gallery, 5, 0.7, 2.0)
    for query, moved in zip(queries.astype(np.float64), result):
        near = sorted(range(len(gallery)), key=lambda j, q=query: -float(q @ gallery[j]))[:4]
        weights = [max(0, float(query @ gallery[j])) ** 2.0 for j in near]
        for level in (first, dense_scale(first, gallery, 8, 0.9, 2.0)):
            query = unit(query + unit(sum(w * level[j] for w, j in zip(weights, near))))
        np.testing.assert_allclose(moved, query, atol=1e-4)


def test_alpha_zero_gives_the_gallery_back():
    gallery = clustered()
    np.testing.assert_allclose(cfa.CFA(levels=[{"k": [5], "alpha": 0.0}]).fit(gallery).gallery_, gallery, atol=1e-6)


def test_an_isolated_image_is_unchanged():
    gallery = np.concatenate([clustered(40, 7), np.zeros((40, 1), np.float32)], axis=1)
    gallery = np.concatenate([gallery, np.eye(8, dtype=np.float32)[7:]])  # the last is orthogonal to all
    model = cfa.CFA(levels=[{"k": [5]}]).fit(gallery)
    np.testing.assert_allclose(model.gallery_[40], gallery[40], atol=1e-6)
    assert model.report_["levels"][0]["scales"][0]["isolated_nodes"] >= 1


def test_parts_that_are_not_connected_are_solved_as_if_apart():
    first, second = clustered(30, 5, 0), clustered(35, 5, 1)
    zeros = np.zeros((30, 5), np.float32), np.zeros((35, 5), np.float32)
    whole = np.concatenate([np.concatenate([first, zeros[0]], axis=1), np.concatenate([zeros[1], second], axis=1)])
    settings = {"levels": [{"k": [6], "alpha": 0.9}], "tolerance": 1e-6}
    result = cfa.CFA(**settings).fit(whole).gallery_
    np.testing.assert_allclose(result[:30, :5], cfa.CFA(**settings).fit(first).gallery_, atol=1e-5)
    np.testing.assert_allclose(result[30:, 5:], cfa.CFA(**settings).fit(second).gallery_, atol=1e-5)
    assert not result[:30, 5:].any() and not result[30:, :5].any()


def test_renumbered_images_give_renumbered_results():
    gallery = clustered()
    order = np.random.RandomState(1).permutation(len(gallery))
    settings = {"levels": [{"k": [4, 7]}, {"k": [5]}], "graph_from": "previous", "tolerance": 1e-6}
    np.testing.assert_allclose(cfa.CFA(**settings).fit(gallery[order]).gallery_,
                               cfa.CFA(**settings).fit(gallery).gallery_[order], atol=2e-5)


@pytest.mark.parametrize("edges", ["knn", "mutual", "k_reciprocal", "shared"])
def test_duplicates_stay_equal_and_finite(edges):
    """Three copies of each image with k = 2: every copy's neighbours are the other copies, so nothing moves."""
    gallery = np.repeat(clustered(12), 3, axis=0)
    result = cfa.CFA(levels=[{"k": [2]}], edges=edges).fit(gallery).gallery_
    np.testing.assert_allclose(result, gallery, atol=1e-4)


def test_nothing_that_was_given_is_changed_and_queries_do_not_touch_the_gallery():
    gallery, queries = clustered(), clustered(9, seed=2)
    ids, similarities = knn.neighbors(gallery, 10)
    before = [a.copy() for a in (gallery, queries, ids, similarities)]
    model = cfa.CFA(levels=[{"k": [4, 8]}, {"k": [6]}]).fit(gallery, (ids, similarities))
    fitted = [level.copy() for level in model.levels_]
    together = model.transform(queries)
    for a, b in zip(before + fitted, [gallery, queries, ids, similarities] + model.levels_):
        np.testing.assert_array_equal(a, b)
    # Nor do queries see each other or what was asked before.
    np.testing.assert_array_equal(model.transform(queries), together)
    alone = np.concatenate([model.transform(queries[i:i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_given_neighbours_are_used_and_too_few_are_searched_again():
    gallery = clustered()
    expected = cfa.CFA(levels=[{"k": [8]}]).fit(gallery).gallery_
    wide, narrow = knn.neighbors(gallery, 20), knn.neighbors(gallery, 3)
    np.testing.assert_allclose(cfa.CFA(levels=[{"k": [8]}]).fit(gallery, wide).gallery_, expected, atol=1e-6)
    np.testing.assert_allclose(cfa.CFA(levels=[{"k": [8]}]).fit(gallery, narrow).gallery_, expected, atol=1e-6)
    none = np.full((60, 8), -1, np.int32), np.full((60, 8), -1, np.float32)
    np.testing.assert_allclose(cfa.CFA(levels=[{"k": [8]}]).fit(gallery, none).gallery_, gallery, atol=1e-6)


def test_a_memory_mapped_gallery_gives_the_same(tmp_path):
    gallery = clustered()
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")
    settings = {"levels": [{"k": [5]}, {"k": [5], "cells": 2}]}
    one, two = cfa.CFA(**settings).fit(mapped), cfa.CFA(**settings).fit(gallery)
    np.testing.assert_array_equal(one.gallery_, two.gallery_)
    np.testing.assert_array_equal(one.transform(gallery[:3]), two.transform(gallery[:3]))


def test_cells_cut_the_edges_between_them():
    """Two directions with a bridge of edges: cut in two cells, each half comes out as if it were alone."""
    random = np.random.RandomState(0)
    halves = [unit(np.eye(6)[i] + 0.15 * random.randn(30, 6)).astype(np.float32) for i in (0, 1)]
    gallery = np.concatenate(halves)
    settings = {"edges": "knn", "tolerance": 1e-6}
    cut = cfa.CFA(levels=[{"k": [40], "cells": 2}], **settings).fit(gallery)
    apart = [cfa.CFA(levels=[{"k": [29]}], **settings).fit(half).gallery_ for half in halves]
    np.testing.assert_allclose(cut.gallery_, np.concatenate(apart), atol=1e-5)
    whole = cfa.CFA(levels=[{"k": [40]}], **settings).fit(gallery)
    assert np.abs(whole.gallery_ - cut.gallery_).max() > 0.1
    assert cut.report_["levels"][0]["scales"][0]["edges_per_node"] == 29


def test_same_seed_same_cells():
    gallery = clustered(80, spread=1.5)
    first, again = (cfa.CFA(levels=[{"k": [6], "cells": 5}], seed=3).fit(gallery).gallery_ for _ in range(2))
    np.testing.assert_array_equal(first, again)


def rings(n, shift=0.0):
    """Two rings on the sphere at latitudes +20 and -20 degrees, n points each: opposite points of one ring are far."""
    longitude = 2 * np.pi * (np.arange(n) + shift) / n
    ring = [np.stack([np.cos(t) * np.cos(longitude), np.cos(t) * np.sin(longitude), np.full(n, np.sin(t))], axis=1)
            for t in np.radians([20, -20])]
    return np.concatenate(ring).astype(np.float32), np.repeat([0, 1], n)


def mean_average_precision(queries, gallery, query_labels, labels):
    values = []
    for query, label in zip(queries, query_labels):
        hits = labels[np.argsort(-(gallery @ query), kind="stable")] == label
        values.append(np.mean([(rank + 1) / (place + 1) for rank, place in enumerate(np.flatnonzero(hits))]))
    return np.mean(values)


def test_diffusion_tells_two_rings_apart():
    """Neighbours lie on one's own ring, so diffusion draws a ring towards its own pole.

    The ring's longitudinal part is damped to (1 - a) / (1 - a l) with l = (cos t + cos 2t) / 2, t = 2 pi / 40, its
    latitude is kept: .94 becomes .23 while .34 stays, so all products within a ring are positive and all others
    negative, and mAP is exactly 1. Plain search ranks the other ring before the far side of the own.
    """
    gallery, labels = rings(40)
    queries, query_labels = rings(40, shift=0.5)
    model = cfa.CFA(levels=[{"k": [4], "alpha": 0.99}], gamma=0.0).fit(gallery)
    assert mean_average_precision(queries, gallery, query_labels, labels) < 0.8
    assert mean_average_precision(model.gallery_, model.gallery_, labels, labels) == 1
    assert mean_average_precision(model.transform(queries), model.gallery_, query_labels, labels) == 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_galleries(n):
    gallery = clustered(n)
    for levels in (None, [{"k": [30]}]):
        model = cfa.CFA(levels=levels).fit(gallery)
        assert len(model.gallery_) == n and np.isfinite(model.gallery_).all()
        assert np.isfinite(model.transform(clustered(2, seed=1))).all()
    if n == 1:
        np.testing.assert_allclose(model.gallery_, gallery, atol=1e-6)


def test_the_report_tells_the_graph_and_the_solver():
    gallery = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    report = cfa.CFA(levels=[{"k": [2]}]).fit(gallery).report_
    scale = report["levels"][0]["scales"][0]
    assert scale["edges_per_node"] == 2 and scale["isolated_nodes"] == 0 and scale["k"] == 2
    assert scale["residual"] <= 1e-4 and scale["iterations"] >= 1 and scale["converged"]


@pytest.mark.parametrize("settings, message", [
    ({"levels": [{"k": [3, 5], "weights": [1.0]}]}, "cfa.levels.0: 1 weights for k .3, 5."),
    ({"levels": [{"k": [3]}, {"k": []}]}, "cfa.levels.1: 0 weights for k"),
    ({"levels": [{"k": [0]}]}, "cfa.levels.0: 1 weights for k .0."),
    ({"levels": [{"k": [3], "weights": [0.0]}]}, "cfa.levels.0.weights: .0.0. must not be negative or all 0"),
    ({"levels": [{"alpha": 1.0}]}, "cfa.levels.0.alpha: 1.0 is out of range"),
    ({"levels": [{"cells": 61}]}, "cfa.levels.0.cells: 61 cells for a gallery of 60 images"),
    ({"levels": [{"apha": 0.5}]}, "unknown cfa.levels.0 key 'apha' .did you mean alpha"),
    ({"queries": "late"}, "unknown treatment of queries 'late'"),
    ({"edges": "nearest"}, "unknown kind of edges 'nearest'"),
    ({"graph_from": "first"}, "unknown graph_from 'first'")])
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(InputError, match=message):
        cfa.CFA(**settings).fit(clustered())


def test_raw_queries_stay_as_they_are_and_have_no_place_among_signatures():
    gallery, queries = clustered(), clustered(4, seed=3)
    model = cfa.CFA(levels=[{"k": [5]}], queries="raw").fit(gallery)
    np.testing.assert_array_equal(model.transform(queries), queries)
    with pytest.raises(InputError, match="raw queries cannot be compared with signatures"):
        cfa.CFA(queries="raw").fit(gallery).transform(queries)


def test_an_appended_query_solves_its_own_row_of_the_equation():
    """A query that is a copy of an image, whose edges it therefore shares, lands near that image's own solution."""
    gallery = clustered(80, 8, spread=0.3)
    model = cfa.CFA(levels=[{"k": [6], "alpha": 0.9}], queries="appended").fit(gallery)
    moved = model.transform(gallery)
    assert np.einsum("ij,ij->i", moved, model.gallery_).min() > 0.97
    assert np.einsum("ij,ij->i", gallery, model.gallery_).min() < 0.95


def test_other_features_make_the_edges():
    """The graph comes from one set of features, what is diffused from the other; queries bring both kinds."""
    gallery, other = clustered(), clustered(seed=7)
    model = cfa.CFA(levels=[{"k": [6], "alpha": 0.9}], tolerance=1e-6, query_neighbors=4)
    model.fit(gallery, edge_features=other)
    np.testing.assert_allclose(model.gallery_, dense_scale(gallery, other, 6, 0.9, 3.0), atol=1e-5)
    query, query_edges = clustered(1, seed=8), clustered(1, seed=9)
    near = np.argsort(-(query_edges @ other.T)[0])[:4]
    weights = np.maximum(other[near] @ query_edges[0], 0) ** 3
    expected = unit(query[0] + unit(weights @ model.gallery_[near]))
    np.testing.assert_allclose(model.transform(query, edge_features=query_edges)[0], expected, atol=1e-5)
    with pytest.raises(InputError, match="edge features have 59 rows and the gallery has 60"):
        cfa.CFA().fit(gallery, edge_features=other[:59])


def test_side_information_changes_the_edges():
    """Labels that say each image is its own class veto every edge, so nothing moves; the report tells it."""
    gallery = clustered()
    side = side_information.Side(labels=np.arange(60), modes=["veto"], trust=1.0)
    model = cfa.CFA(levels=[{"k": [6]}]).fit(gallery, side=side)
    np.testing.assert_allclose(model.gallery_, gallery, atol=1e-6)
    about = model.report_["levels"][0]["scales"][0]["side"]
    assert about["edges_before"] > 0 and about["edges_after_labels"] == 0
