"""GSS as an estimator; weights are the ones it starts with, or random. Training is in test_gss_training.py."""
import subprocess
import sys

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features, gss, knn
from slim_retrieval.graph.gss import GSS


def clustered(n=40, d=6, seed=0):
    random = np.random.RandomState(seed)
    rows = np.random.RandomState(99).randn(5, d)[random.randint(5, size=n)] + 0.6 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_layers(width, layers, epsilon=0.0, seed=0):
    """Return layers far from the identity and with biases, as if they had been learned."""
    random = np.random.RandomState(7)
    return [gss.Layer((np.eye(width) + 0.3 * random.randn(width, width)).astype(np.float32),
                      (0.1 * random.randn(width)).astype(np.float32)) for _ in range(layers)]


def elu(p):
    return np.array([value if value > 0 else np.exp(value) - 1 for value in p])


def dense_graph(x, k):
    """Return A + I by loops: similarity above 0 where either is among the other's k nearest."""
    n = len(x)
    near = [sorted((j for j in range(n) if j != i), key=lambda j, i=i: -(x[i] @ x[j]))[:k] for i in range(n)]
    graph = np.eye(n)
    for i in range(n):
        for j in range(n):
            if i != j and (j in near[i] or i in near[j]):
                graph[i, j] = max(0, x[i] @ x[j])
    return graph


def dense_levels(x, graph, weights, decay):
    """Return x^0 ... x^L of all nodes by the published equations, in float64."""
    degrees = graph.sum(axis=1)
    matrix, levels, before = graph / np.sqrt(np.outer(degrees, degrees)), [x], None
    for W, b in weights:
        p = matrix @ levels[-1] @ W + b
        out = np.array([elu(row) for row in p])
        levels.append(out if before is None else before + decay * out)
        before = p
    return levels


@pytest.mark.parametrize("layers, k, decay", [(1, 4, 0.3), (2, 4, 0.3), (3, 2, 0.7), (2, 100, 0.3)])
def test_gallery_and_queries_equal_the_dense_formula(monkeypatch, layers, k, decay):
    """A query is one more row of S, with its own degree and no column: the other rows stay as they are."""
    monkeypatch.setattr(features, "BLOCK_VALUES", 6 * 16)  # three blocks of rows
    monkeypatch.setattr(gss, "initial", random_layers)
    gallery, queries, kq = clustered(), clustered(7, seed=1), 3
    model = GSS(layers=layers, k=k, decay=decay, query_neighbors=kq, steps=0).fit(gallery)
    x, graph = gallery.astype(np.float64), dense_graph(gallery.astype(np.float64), k)
    last = dense_levels(x, graph, random_layers(6, layers), decay)[-1]
    np.testing.assert_allclose(model.gallery_, last / np.linalg.norm(last, axis=1, keepdims=True), atol=1e-5)
    for query, moved in zip(queries.astype(np.float64), model.transform(queries)):
        row = np.zeros(41)
        near = sorted(range(40), key=lambda j, q=query: -(q @ x[j]))[:kq]
        row[near], row[40] = np.maximum(0, x[near] @ query), 1
        larger = np.concatenate([np.concatenate([graph, np.zeros((40, 1))], axis=1), row[None]])
        last = dense_levels(np.concatenate([x, query[None]]), larger, random_layers(6, layers), decay)[-1]
        np.testing.assert_allclose(moved, last[40] / np.linalg.norm(last[40]), atol=1e-5)


def test_by_hand():
    """x0 = (1, 0), x1 = (.6, .8) joined with .6: S is 1 / 1.6 [[1, .6], [.6, 1]]; nothing is negative, so elu is idle.

    p1 = (1.36, .48), (1.2, .8) / 1.6 and x1 = p1; p2 = S p1 = (2.08, .96), (2.016, 1.088) / 2.56; x2 = p1 + .3 p2.
    The query (0, 1) is joined to x1 with .8: p1 = (.8 x1 / sqrt(1.8 1.6)) + (0, 1) / 1.8.
    """
    model = GSS(epsilon=0.0, steps=0, query_neighbors=1).fit(np.array([[1, 0], [0.6, 0.8]], np.float32))
    first = np.array([[1.36, 0.48], [1.2, 0.8]]) / 1.6
    last = first + 0.3 * np.array([[2.08, 0.96], [2.016, 1.088]]) / 2.56
    np.testing.assert_allclose(model.gallery_, last / np.linalg.norm(last, axis=1, keepdims=True), atol=1e-6)
    weight = 0.8 / np.sqrt(1.8 * 1.6)
    own = weight * np.array([0.6, 0.8]) + np.array([0, 1 / 1.8])
    last = own + 0.3 * (weight * first[1] + own / 1.8)
    np.testing.assert_allclose(model.transform(np.array([[0, 1]], np.float32))[0], last / np.linalg.norm(last),
                               atol=1e-6)


def test_no_neighbours_and_no_layers_beyond_the_first_give_plain_features():
    """With S the identity and positive features, W = 1 and elu leave everything as it was."""
    gallery = np.abs(clustered())
    model = GSS(k=0, layers=1, epsilon=0.0, steps=0).fit(gallery)
    np.testing.assert_allclose(model.gallery_, gallery, atol=1e-6)


def test_weights_start_as_published():
    layers = gss.initial(50, 2, 1e-2, seed=3)
    for W, b in layers:
        assert (np.diag(W) == 1).all() and not b.any() and W.dtype == b.dtype == np.float32
        assert np.std(W[~np.eye(50, dtype=bool)]) == pytest.approx(1e-2, rel=0.1)
    assert (layers[0].W != layers[1].W).any()


def test_duplicates_stay_equal():
    gallery = np.repeat(clustered(8), 3, axis=0)
    moved = GSS(k=2, steps=0).fit(gallery).gallery_.reshape(8, 3, 6)
    np.testing.assert_allclose(moved, np.repeat(moved[:, :1], 3, axis=1), atol=1e-6)


def test_a_renumbered_gallery_gives_renumbered_features(monkeypatch):
    monkeypatch.setattr(gss, "initial", random_layers)
    gallery, queries = clustered(), clustered(7, seed=1)
    order = np.random.RandomState(2).permutation(40)
    model, other = GSS(steps=0).fit(gallery), GSS(steps=0).fit(gallery[order])
    np.testing.assert_allclose(other.gallery_, model.gallery_[order], atol=1e-5)
    np.testing.assert_allclose(other.transform(queries), model.transform(queries), atol=1e-5)


def test_queries_never_change_the_gallery_and_nothing_given_is_changed(tmp_path):
    gallery, queries = clustered(), clustered(7, seed=1)
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")  # a write would raise
    near = knn.neighbors(gallery, 12)
    before = [a.copy() for a in (queries,) + near]
    model = GSS(steps=0).fit(mapped, near)
    fitted = [level.copy() for level in model._inputs] + [model.gallery_.copy()]
    together = model.transform(queries)
    for array, copy in zip(model._inputs + [model.gallery_, queries] + list(near), fitted + before):
        np.testing.assert_array_equal(array, copy)
    alone = np.concatenate([model.transform(queries[i:i + 1]) for i in range(7)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(GSS(steps=0).fit(gallery, knn.neighbors(gallery, 2)).gallery_, fitted[-1], atol=1e-6)


@pytest.mark.parametrize("n", [1, 2])
def test_tiny_galleries(n):
    model = GSS(steps=0).fit(clustered(n))
    assert model.needed_neighbors(n) == n - 1 and model.report_ == {"k": n - 1}
    assert model.gallery_.shape == (n, 6) and np.isfinite(model.transform(clustered(3, seed=1))).all()


def test_widths_that_differ():
    with pytest.raises(InputError, match=r"\[2, 3\] and gallery features \[5, 4\]"):
        GSS(steps=0).fit(clustered(5, 4)).transform(clustered(2, 3))


def test_applying_gss_does_not_import_tensorflow():
    code = ("import sys, numpy as np; from slim_retrieval.graph.gss import GSS; "
            "GSS(steps=0).fit(np.eye(6, dtype='float32')).transform(np.eye(6, dtype='float32')); "
            "bad = [n for n in sys.modules if n.split('.')[0] in ('tensorflow', 'tf_slim', 'tf_keras')]; "
            "sys.exit('imported ' + bad[0] if bad else 0)")
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
