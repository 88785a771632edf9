import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import linalg

from slim_retrieval.graph import knn, manifold, offline_diffusion
from slim_retrieval.graph.joint_diffusion import JointDiffusion
from slim_retrieval.graph.offline_diffusion import OfflineDiffusion


def clustered(n=60, d=12, seed=0, classes=5, spread=0.8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(classes, d)
    x = centres[np.arange(n) % classes] + spread * random.randn(n, d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def textbook(gallery, truncation, k, gamma, alpha):
    """F by loops over all pairs and a direct solver for each image's own submatrix."""
    n, similarities = len(gallery), gallery.astype(np.float64) @ gallery.T.astype(np.float64)
    nearest = [sorted((j for j in range(n) if j != i), key=lambda j: -similarities[i, j]) for i in range(n)]
    weights = np.zeros((n, n))
    for i in range(n):
        for j in nearest[i][:k]:
            if i in nearest[j][:k]:
                weights[i, j] = max(0, similarities[i, j]) ** gamma
    degrees = np.maximum(weights.sum(axis=1), 1e-12)
    system = np.eye(n) - alpha * weights / np.sqrt(np.outer(degrees, degrees))
    result = np.zeros((n, n))
    for i in range(n):
        members = [i] + nearest[i][:truncation - 1]
        result[i, members] = np.linalg.solve(system[np.ix_(members, members)], np.eye(len(members))[0])
    return result


@pytest.mark.parametrize("truncation", [1, 2, 10, 35, 60, 1000])
@pytest.mark.parametrize("alpha, k", [(0.9, 6), (0.99, 20)])
def test_the_offline_matrix_equals_the_textbook_form(truncation, alpha, k):
    gallery = clustered()
    model = OfflineDiffusion(truncation, k, alpha=alpha, tolerance=1e-7, max_iterations=200).fit(gallery)
    expected = textbook(gallery, truncation, k, 3.0, alpha)
    np.testing.assert_allclose(model.offline_.toarray(), expected, atol=1e-5 * expected.max())
    assert model.offline_.dtype == np.float32 and np.diff(model.offline_.indptr).max() <= truncation


def test_scores_are_sums_of_the_neighbours_rows():
    gallery, queries = clustered(), clustered(6, seed=2)
    model = OfflineDiffusion(20, 8, query_neighbors=3, gamma=2.0).fit(gallery)
    ids, similarities = knn.search(queries, gallery, 3)
    expected = np.zeros((6, 60))
    for row in range(6):
        for i, similarity in zip(ids[row], similarities[row]):
            expected[row] += max(0, similarity) ** 2 * model.offline_.toarray()[i]
    np.testing.assert_allclose(model.scores(manifold.mass(ids, similarities, 2.0, 60)).toarray(), expected, rtol=1e-5)


def test_the_public_form_conjugate_gradients_image_by_image():
    """The published stopping: SciPy's solver on each submatrix, stopped at 1e-6 or after 20 steps."""
    gallery = clustered(500, 24, classes=10, spread=0.7)
    near = knn.neighbors(gallery, 120)
    members = np.concatenate([np.arange(500, dtype=np.int32)[:, None], near[0][:, :99]], axis=1)
    matrix = manifold.matrix(near, 12, 3.0)
    laplacian = (sparse.identity(500, format="csr") - 0.99 * matrix).tocsr()
    found = OfflineDiffusion(100, 12).fit(gallery, near).offline_.toarray()
    right = np.eye(100)[0]
    most = 0
    for i in range(0, 500, 7):
        cut = laplacian[members[i]][:, members[i]]
        steps = []
        try:
            expected, _ = linalg.cg(cut, right, rtol=1e-6, maxiter=20, callback=steps.append)
        except TypeError:  # SciPy before 1.12
            expected, _ = linalg.cg(cut, right, tol=1e-6, maxiter=20, callback=steps.append)
        np.testing.assert_allclose(found[i, members[i]], expected, atol=1e-5)
        most = max(most, len(steps))
    assert most == 20


def test_an_untruncated_solution_is_that_of_the_whole_graph():
    gallery, queries = clustered(), clustered(6, seed=2)
    offline = OfflineDiffusion(60, 8, max_iterations=200).fit(gallery)
    joint = JointDiffusion(8, tolerance=1e-5).fit(gallery)
    mass = manifold.mass(*knn.search(queries, gallery, 10), gamma=3.0, n=60)
    np.testing.assert_allclose(0.01 * offline.scores(mass).toarray(), joint.scores(mass), atol=1e-5)
    np.testing.assert_array_equal(offline.rank(queries, 20), joint.rank(queries, 20))


def test_a_path_of_three_images_by_hand():
    """a - b - c with a.c = 0 and equal weights: S_ab = S_bc = t = 1/sqrt(2), and S is cut after it was normalised.

    T_a = {a, b}, T_b = {b, a} (a before c by id), T_c = {c, b}: f_a = (1, alpha t) / (1 - alpha^2 / 2) on its members.
    """
    gallery = np.array([[1, 0], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]], np.float32)
    model = OfflineDiffusion(2, k=2, alpha=0.5).fit(gallery)
    own, other = 1 / (1 - 0.125), 0.5 * np.sqrt(0.5) / (1 - 0.125)
    np.testing.assert_allclose(model.offline_.toarray(), [[own, other, 0], [other, own, 0], [0, other, own]], atol=1e-5)


def test_groups_hold_each_image_once():
    gallery = clustered(100)
    ids, _ = knn.neighbors(gallery, 30)
    ids[5, 3:] = -1
    members = np.concatenate([np.arange(100)[:, None], ids], axis=1)
    groups = offline_diffusion.group(members, 8)
    assert sorted(np.concatenate(groups)) == list(range(100)) and max(map(len, groups)) == 8
    for chosen in groups:
        assert set(chosen) <= set(members[chosen[0]])


def test_the_grouping_does_not_show():
    gallery = clustered(100)
    ids, similarities = knn.neighbors(gallery, 40)
    members = np.concatenate([np.arange(100, dtype=np.int32)[:, None], ids], axis=1)
    members[3, 20:] = -1  # a shorter list
    matrix = manifold.matrix((ids, similarities), 10, 3.0)
    alone = offline_diffusion.solve(matrix, 0.9, members, [np.array([i]) for i in range(100)], 1e-6, 100)
    for groups in ([np.arange(100)], [np.arange(50, 100), np.arange(50)[::-1]], offline_diffusion.group(members, 7)):
        found = offline_diffusion.solve(matrix, 0.9, members, groups, 1e-6, 100)
        np.testing.assert_allclose(found.toarray(), alone.toarray(), atol=1e-5)
    assert not alone.toarray()[3, np.setdiff1d(np.arange(100), members[3, :20])].any()


def test_the_report_tells_the_graph_and_the_size():
    gallery = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    report = OfflineDiffusion(5, k=2).fit(gallery).report_
    assert report == {"edges_per_node": 2, "isolated_nodes": 0, "scores_per_image": 3, "groups": report["groups"]}
