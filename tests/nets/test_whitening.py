"""Whitening against loops over rows and pairs, and by what it must achieve."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.nets import whitening
from slim_retrieval.nets.whitening import apply_whitening, fit_lw, fit_pca

RANDOM = np.random.RandomState(0)
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3] * 4)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


CENTRES = RANDOM.randn(4, 6)
FEATURES = unit(CENTRES[LABELS] + RANDOM.randn(40, 6) * [0.1, 0.2, 0.4, 0.8, 1.0, 1.5])


@pytest.fixture(autouse=True)
def few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(whitening, "ROWS", 7)


def covariances():
    """Of pairs of the same and of different labels, pair by pair."""
    sums, counts = np.zeros((2, 6, 6)), [0, 0]
    for i in range(40):
        for j in range(i):
            difference = FEATURES[i].astype(np.float64) - FEATURES[j]
            kind = int(LABELS[i] != LABELS[j])
            sums[kind] += np.outer(difference, difference)
            counts[kind] += 1
    return sums[0] / counts[0], sums[1] / counts[1]


def test_pca_makes_the_features_white():
    mean, projection, values = fit_pca(FEATURES)
    white = apply_whitening(FEATURES, mean, projection).astype(np.float64)
    assert white.shape == (40, 6)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(white.T.dot(white) / 40, np.eye(6), atol=1e-3)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(np.cov(FEATURES.T, bias=True))[::-1], rtol=1e-4)


def test_pca_keeps_the_largest_directions_and_shrinks():
    full, half = fit_pca(FEATURES)[1], fit_pca(FEATURES, dimension=3)[1]
    np.testing.assert_array_equal(half, full[:, :3])
    covariance = np.cov(FEATURES.T.astype(np.float64), bias=True)
    expected = 0.7 * covariance + 0.3 * np.trace(covariance) / 6 * np.eye(6)
    _, projection, _ = fit_pca(FEATURES, shrinkage=0.3)
    np.testing.assert_allclose(projection.T.dot(expected).dot(projection), np.eye(6), atol=1e-6)
    # Shrunk altogether, nothing is whitened: a rotation, times a number.
    _, projection, _ = fit_pca(FEATURES, shrinkage=1.0)
    np.testing.assert_allclose(projection.T.dot(projection) * np.trace(covariance) / 6, np.eye(6), atol=1e-6)


def test_lw_equals_a_loop_over_pairs():
    same, other = covariances()
    mean, projection, ratios = fit_lw(FEATURES, LABELS)
    np.testing.assert_allclose(mean, FEATURES.mean(axis=0), atol=1e-6)
    # What defines it: P^T C_S P = I and P^T C_D P diagonal, the largest first.
    np.testing.assert_allclose(projection.T.dot(same).dot(projection), np.eye(6), atol=1e-6)
    np.testing.assert_allclose(projection.T.dot(other).dot(projection), np.diag(ratios), atol=1e-6 * ratios[0])
    assert (np.diff(ratios) < 0).all()
    reduced = fit_lw(FEATURES, LABELS, dimension=2, shrinkage=0.2)
    shrunk = 0.8 * same + 0.2 * np.trace(same) / 6 * np.eye(6)
    np.testing.assert_allclose(reduced[1].T.dot(shrunk).dot(reduced[1]), np.eye(2), atol=1e-6)


def test_rows_without_a_label_are_left_out():
    expected = fit_lw(FEATURES, LABELS)
    rows, labels = np.concatenate([FEATURES, FEATURES[:5]]), np.concatenate([LABELS, -np.ones(5, np.int64)])
    for found, other in zip(fit_lw(rows, labels), expected):
        np.testing.assert_allclose(np.abs(found), np.abs(other), rtol=1e-5, atol=1e-8)


def test_rows_are_normalised_before_they_are_whitened():
    mean, projection, _ = fit_pca(FEATURES)
    np.testing.assert_allclose(apply_whitening(3 * FEATURES, mean, projection),
                               apply_whitening(FEATURES, mean, projection), atol=1e-4)


def test_what_cannot_be_fitted():
    flat = unit(np.concatenate([RANDOM.randn(20, 3), np.zeros((20, 2))], axis=1))
    assert fit_pca(flat)[1].shape == (5, 3)  # only what varies
    with pytest.raises(InputError, match="--dimension is 4, but the features vary in 3 directions only"):
        fit_pca(flat, dimension=4)
    with pytest.raises(InputError, match="do not vary in all 5 dimensions; give --shrinkage"):
        fit_lw(flat, np.arange(20) % 4)
    assert fit_lw(flat, np.arange(20) % 4, shrinkage=0.1)[1].shape[0] == 5
    for labels, counts in ((np.arange(20), "have 0 and 190"), (np.zeros(20, int), "have 190 and 0")):
        with pytest.raises(InputError, match=counts):
            fit_lw(flat, labels)
