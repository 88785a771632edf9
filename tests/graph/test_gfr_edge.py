"""Propagation over scored edges against a dense textbook version; queries as one more row of the graph."""
import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.graph import affinity, gfr_edge, gfr_edge_features, gfr_scorer, knn, signatures


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def learned(sharpness=2.0, strength=0.9, residual=0.0, layers=3):
    """Edges that like similar pairs."""
    weight = np.zeros(gfr_edge_features.COUNT)
    weight[0], weight[2] = 4.0, -0.5
    return gfr_edge.Edges(gfr_scorer.Scorer(weight, -1.0), sharpness, strength, residual, layers)


def dense(x, near, edges):
    """A and S as full matrices, entry by entry."""
    pairs, n = gfr_edge_features.features(near, near), len(x)
    A = np.zeros((n, n))
    for i in range(n):
        for place, j in enumerate(near[0][i]):
            score = pairs[i, place] @ edges.scorer.weight + edges.scorer.bias
            A[i, j] = max(A[i, j], (1 / (1 + np.exp(-score))) ** edges.sharpness)
    A = np.maximum(A, A.T)
    degrees = A.sum(axis=1)
    return A, A / np.sqrt(np.outer(degrees, degrees)), degrees


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("layers", [1, 2, 7])
def test_gallery_and_queries_are_the_textbook_recursion(layers):
    x, queries, edges = unit_rows(30, 4), unit_rows(5, 4, seed=1), learned(layers=layers)
    near, asked = knn.neighbors(x, 6), knn.search(queries, x, 6)
    model = gfr_edge.EdgeLayers(edges)
    gallery = model.fit(x, near)
    A, S, degrees = dense(x, near, edges)
    y = before = x
    for _ in range(layers):
        before, y = y, 0.1 * x + 0.9 * S @ y
    np.testing.assert_allclose(gallery, unit(y), atol=2e-6)
    pairs, expected = gfr_edge_features.features(asked, near), []
    for q in range(5):
        a = (1 / (1 + np.exp(-(pairs[q] @ edges.scorer.weight + edges.scorer.bias)))) ** 2
        row = sum(a[p] / np.sqrt(a.sum() * degrees[j]) * before[j] for p, j in enumerate(asked[0][q]))
        expected.append(0.1 * queries[q] + 0.9 * row)
    np.testing.assert_allclose(model.transform(queries, asked), unit(np.array(expected)), atol=2e-6)
    assert gallery.dtype == np.float32 and model.transform(queries, asked).dtype == np.float32


def test_with_a_residual_signatures_are_propagated_and_the_feature_stands_beside():
    x, queries, edges = unit_rows(30, 4), unit_rows(5, 4, seed=1), learned(residual=0.5)
    near, asked = knn.neighbors(x, 6), knn.search(queries, x, 6)
    model = gfr_edge.EdgeLayers(edges)
    gallery, moved = model.fit(x, near), model.transform(queries, asked)
    start = np.concatenate([signatures.signatures(x, *near), x], axis=1)
    _, S, _ = dense(x, near, edges)
    y = before = start
    for _ in range(3):
        before, y = y, 0.1 * start + 0.9 * S @ y
    expected = unit(np.concatenate([unit(y[:, :30]), 0.4 * (unit(y[:, 30:]) + 0.5 * x)], axis=1))
    np.testing.assert_allclose(gallery, expected, atol=2e-6)
    # A query's signature starts as its nearest image's; both its parts are one more row of the graph.
    plain = gfr_edge.EdgeLayers(edges._replace(residual=0.0))
    plain.fit(start, near)
    plain._near = near
    asks = np.concatenate([start[asked[0][:, 0], :30], queries], axis=1)
    weights, degrees = plain.weights(asked), dense(x, near, edges)[2]
    share = weights / np.sqrt(weights.sum(axis=1, keepdims=True) * degrees[asked[0]])
    y = 0.1 * asks + 0.9 * np.einsum("qk,qkr->qr", share, before[asked[0]])
    expected = unit(np.concatenate([unit(y[:, :30]), 0.4 * (unit(y[:, 30:]) + 0.5 * queries)], axis=1))
    np.testing.assert_allclose(moved, expected, atol=2e-6)
    nobody = np.full((5, 6), -1), np.full((5, 6), -1, np.float32)
    np.testing.assert_allclose(model.transform(queries, nobody)[:, 30:], queries, atol=1e-6)


def test_many_layers_are_the_solution_and_do_not_run_together():
    x, edges = unit_rows(30, 4), learned()
    near = knn.neighbors(x, 6)
    solution = np.linalg.solve(np.eye(30) - 0.9 * dense(x, near, edges)[1], 0.1 * x.astype(np.float64))
    np.testing.assert_allclose(gfr_edge.EdgeLayers(edges._replace(layers=200)).fit(x, near), unit(solution), atol=1e-5)
    assert np.linalg.matrix_rank(unit(solution), tol=0.1) == 4


def test_strength_0_and_no_neighbours_leave_features_as_they_are():
    x, queries = unit_rows(30, 4), unit_rows(5, 4, seed=1)
    near, asked = knn.neighbors(x, 6), knn.search(queries, x, 6)
    off = gfr_edge.EdgeLayers(learned(strength=0.0))
    np.testing.assert_allclose(off.fit(x, near), x, atol=1e-6)
    np.testing.assert_allclose(off.transform(queries, asked), queries, atol=1e-6)
    on = gfr_edge.EdgeLayers(learned())
    on.fit(x, near)
    nobody = np.full((5, 6), -1), np.full((5, 6), -1, np.float32)
    np.testing.assert_allclose(on.transform(queries, nobody), queries, atol=1e-6)
    pads = np.where(np.arange(30)[:, None] == 3, -1, near[0]), near[1]
    alone = np.where(np.isin(pads[0], 3), -1, pads[0]), near[1]
    np.testing.assert_allclose(on.fit(x, alone)[3], x[3], atol=1e-6)


def test_a_copy_of_an_image_is_next_to_it():
    x, edges = unit_rows(200, 6), learned()
    model = gfr_edge.EdgeLayers(edges._replace(layers=16))
    gallery = model.fit(x, knn.neighbors(x, 10))
    moved = model.transform(x[:50], knn.search(x[:50], x, 10))
    nearest = np.argmax(moved @ gallery.T, axis=1)
    assert np.mean(nearest == np.arange(50)) == 1


def test_graph_is_symmetric_without_pads_and_keeps_the_larger_weight():
    ids = np.array([[1, 2], [0, -1], [0, 1]])
    weights = np.array([[0.5, 0.2], [0.7, 0.0], [0.1, 0.3]])
    matrix = gfr_edge.graph(ids, weights)
    np.testing.assert_allclose(matrix.toarray(), [[0, 0.7, 0.2], [0.7, 0, 0.3], [0.2, 0.3, 0]], atol=1e-7)


def test_memory_maps_and_blocks(tmp_path, monkeypatch):
    x = unit_rows(30, 4)
    np.save(str(tmp_path / "x.npy"), x)
    matrix = affinity.normalised(sparse.csr_matrix(np.abs(x @ x.T) - np.diag(np.ones(30))))
    whole = gfr_edge.propagate(matrix, x, 0.8, 3)
    monkeypatch.setattr(gfr_edge.features, "blocks", lambda n, d: [(i, min(i + 7, n)) for i in range(0, n, 7)])
    cut = gfr_edge.propagate(matrix, np.load(str(tmp_path / "x.npy"), mmap_mode="r"), 0.8, 3)
    for a, b in zip(whole, cut):
        np.testing.assert_allclose(a, b, atol=1e-6)
