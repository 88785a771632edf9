import numpy as np
import pytest

from slim_retrieval.graph import knn, manifold
from slim_retrieval.graph.joint_diffusion import JointDiffusion


def clustered(n=60, d=12, seed=0, classes=5, spread=0.8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(classes, d)
    x = centres[np.arange(n) % classes] + spread * random.randn(n, d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def textbook(gallery, query, k, query_neighbors, gamma, alpha):
    """f of one query by loops over all pairs and a direct solver."""
    n, similarities = len(gallery), gallery.astype(np.float64) @ gallery.T.astype(np.float64)
    nearest = [sorted((j for j in range(n) if j != i), key=lambda j: -similarities[i, j])[:k] for i in range(n)]
    weights = np.zeros((n, n))
    for i in range(n):
        for j in nearest[i]:
            if i in nearest[j]:
                weights[i, j] = max(0, similarities[i, j]) ** gamma
    system, mass = np.eye(n), np.zeros(n)
    for i in range(n):
        for j in range(n):
            if weights[i, j]:
                system[i, j] -= alpha * weights[i, j] / np.sqrt(weights[i].sum() * weights[j].sum())
    to_query = gallery.astype(np.float64) @ query
    for i in np.argsort(-to_query)[:query_neighbors]:
        mass[i] = max(0, to_query[i]) ** gamma
    return np.linalg.solve(system, (1 - alpha) * mass)


@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("k, query_neighbors, gamma", [(5, 1, 3.0), (8, 10, 1.0), (100, 100, 2.0)])
def test_scores_equal_the_textbook_form(alpha, k, query_neighbors, gamma):
    gallery, queries = clustered(), clustered(6, seed=2)
    model = JointDiffusion(k, query_neighbors, gamma, alpha, tolerance=1e-6).fit(gallery)
    ids, similarities = knn.search(queries, gallery, min(query_neighbors, 60))
    found = model.scores(manifold.mass(ids, similarities, gamma, 60))
    expected = np.array([textbook(gallery, query, k, query_neighbors, gamma, alpha) for query in queries])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    ranks = model.rank(queries, 60)
    for row, scores in zip(ranks, expected):  # by score, but for near ties
        assert (np.diff(scores[row]) < 1e-5).all()


def test_a_path_of_three_images_by_hand():
    """a - b - c with a.c = 0 and equal weights on a-b and b-c: S_ab = S_bc = 1/sqrt(2), all else 0. From e_a:

    With t = alpha / sqrt(2): f_a = (1 - alpha) + t f_b, f_b = t (f_a + f_c), f_c = t f_b, so f_b = t / (1 + alpha).
    At alpha = 1/2: f = (7/12, sqrt(2)/6, 1/12).
    """
    gallery = np.array([[1, 0], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]], np.float32)
    model = JointDiffusion(k=2, query_neighbors=1, alpha=0.5, tolerance=1e-6).fit(gallery)
    mass = manifold.mass(np.array([[0]]), np.ones((1, 1), np.float32), 3.0, 3)
    np.testing.assert_allclose(model.scores(mass), [[7 / 12, np.sqrt(2) / 6, 1 / 12]], atol=1e-6)
    assert model.rank(gallery, 3).tolist() == [[0, 1, 2], [1, 0, 2], [2, 1, 0]]


def test_alpha_zero_ranks_plainly():
    gallery, queries = clustered(), clustered(6, seed=2)
    model = JointDiffusion(k=5, query_neighbors=4, alpha=0.0).fit(gallery)
    np.testing.assert_array_equal(model.rank(queries, 60), np.argsort(-(queries @ gallery.T), axis=1))


def test_the_report_tells_the_graph_and_the_solver():
    gallery = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    model = JointDiffusion(k=2).fit(gallery)
    assert model.report_ == {"edges_per_node": 2, "isolated_nodes": 0}
    model.rank(gallery[:2], 12)
    assert model.report_["solver"]["converged"] and model.report_["solver"]["residual"] <= 1e-4
