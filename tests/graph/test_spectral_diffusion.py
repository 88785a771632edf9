import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, knn, manifold, spectral_diffusion
from slim_retrieval.graph.joint_diffusion import JointDiffusion
from slim_retrieval.graph.spectral_diffusion import SpectralDiffusion


def clustered(n=60, d=12, seed=0, classes=5, spread=0.8):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(99).randn(classes, d)
    x = centres[np.arange(n) % classes] + spread * random.randn(n, d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def query_mass(gallery, count=6, query_neighbors=10):
    queries = clustered(count, gallery.shape[1], seed=2)
    return manifold.mass(*knn.search(queries, gallery, query_neighbors), gamma=3.0, n=len(gallery))


def textbook(matrix, mass, alpha, r):
    """h of the r largest eigenvalues by numpy.linalg.eigh, term by term."""
    values, vectors = np.linalg.eigh(matrix.toarray().astype(np.float64))
    result = np.zeros(mass.shape)
    for i in np.argsort(-values)[:r]:
        projection = mass.toarray() @ vectors[:, i]
        result += (1 - alpha) / (1 - alpha * values[i]) * np.outer(projection, vectors[:, i])
    return result


@pytest.mark.parametrize("alpha", [0.5, 0.99])
@pytest.mark.parametrize("r", [0, 1, 5, 20, 40, 59, 500])
def test_scores_equal_the_textbook_form(alpha, r):
    """A connected graph has one part: r + 1 eigenvectors in all. Up to 29 of 60 are searched by Lanczos iterations."""
    gallery = clustered()
    model = SpectralDiffusion(r, k=12, alpha=alpha).fit(gallery)
    mass = query_mass(gallery)
    assert model.report_["parts"] == 1 and model.report_["eigenvectors"] == min(r, 59)
    expected = textbook(manifold.matrix(knn.neighbors(gallery, 12), 12, 3.0), mass, alpha, r + 1)
    np.testing.assert_allclose(model.scores(mass), expected, atol=1e-5)


@pytest.mark.parametrize("remainder", [False, True])
def test_all_eigenvectors_give_the_diffusion_itself(remainder):
    gallery = clustered()
    mass = query_mass(gallery)
    exact = JointDiffusion(8, tolerance=1e-6).fit(gallery).scores(mass)
    found = SpectralDiffusion(100, 8, remainder=remainder).fit(gallery).scores(mass)
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_a_remainder_counts_as_eigenvalue_zero():
    gallery = clustered()
    mass = query_mass(gallery)
    cut = SpectralDiffusion(7, 12, alpha=0.9).fit(gallery)
    kept = SpectralDiffusion(7, 12, alpha=0.9, remainder=True).fit(gallery)
    vectors = np.concatenate([cut.parts_.toarray(), cut.eigenvectors_], axis=1).astype(np.float64)
    orthogonal = mass.toarray() - mass.toarray() @ vectors @ vectors.T
    np.testing.assert_allclose(kept.scores(mass) - cut.scores(mass), 0.1 * orthogonal, atol=1e-6)


def test_a_path_of_three_images_by_hand():
    """a - b - c with equal weights: eigenvalue 1 has (1, sqrt 2, 1)/2, eigenvalue 0 has (1, 0, -1)/sqrt 2, -1 the rest.

    From e_a with none beside the part's own, h(1) = 1: (1, sqrt 2, 1)/4. With one more, h(0) = 1 - alpha adds
    (1 - alpha)/2 (1, 0, -1).
    """
    gallery = np.array([[1, 0], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]], np.float32)
    mass = manifold.mass(np.array([[0]]), np.ones((1, 1), np.float32), 3.0, 3)
    none = SpectralDiffusion(0, k=2, alpha=0.5).fit(gallery)
    np.testing.assert_allclose(none.scores(mass), [[0.25, np.sqrt(2) / 4, 0.25]], atol=1e-6)
    one = SpectralDiffusion(1, k=2, alpha=0.5).fit(gallery)
    np.testing.assert_allclose(one.scores(mass), [[0.5, np.sqrt(2) / 4, 0]], atol=1e-6)
    np.testing.assert_allclose(one.eigenvalues_, [0], atol=1e-6)


def test_eigenvectors_of_parts_are_those_of_eigenvalue_one():
    random = np.random.RandomState(0)
    blocks = [random.rand(n, n) for n in (4, 7, 2)] + [np.zeros((1, 1))]
    weights = sparse.block_diag([np.triu(b, 1) + np.triu(b, 1).T for b in blocks], format="csr").astype(np.float32)
    vectors, values = spectral_diffusion.parts(weights)
    assert vectors.shape == (14, 4) and sorted(values) == [0, 1, 1, 1]
    matrix = affinity.normalised(weights).toarray()
    np.testing.assert_allclose(matrix @ vectors.toarray(), vectors.toarray() * values, atol=1e-6)
    np.testing.assert_allclose((vectors.T @ vectors).toarray(), np.eye(4), atol=1e-6)


@pytest.mark.parametrize("r", [5, 30])
def test_many_equal_parts_are_all_reached(r):
    """30 equal parts of 4 images: the eigenvalues 1 and -1/3 have 30 and 90 eigenvectors, and no part may be lost."""
    gallery = np.repeat(np.eye(30, dtype=np.float32), 4, axis=0)
    model = SpectralDiffusion(r, k=3, query_neighbors=2).fit(gallery)
    assert model.report_["parts"] == 30 and (model.eigenvalues_ < 0).all()
    scores = model.scores(manifold.mass(np.arange(120)[:, None], np.ones((120, 1), np.float32), 3.0, 120))
    same = np.arange(120)[:, None] // 4 == np.arange(120) // 4
    assert (scores[same] > 0.1).all() and not scores[~same].any()
    for i, row in enumerate(model.rank_gallery(3)):
        assert set(row) == set(range(i - i % 4, i - i % 4 + 4)) - {i}


def test_same_seed_same_eigenvectors():
    gallery = clustered(200)
    first, again = (SpectralDiffusion(10, 8, seed=3).fit(gallery) for _ in range(2))
    np.testing.assert_array_equal(first.eigenvectors_, again.eigenvectors_)
    other = SpectralDiffusion(10, 8, seed=4).fit(gallery)
    mass = query_mass(gallery)
    np.testing.assert_allclose(other.scores(mass), first.scores(mass), atol=1e-5)


def test_fewer_than_no_eigenvectors_are_refused():
    with pytest.raises(InputError, match="eigenvectors is -1; it must be at least 0"):
        SpectralDiffusion(-1).fit(clustered())
