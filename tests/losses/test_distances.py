import numpy as np
import pytest
from scipy.spatial.distance import cdist

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances

SCIPY = {"euclidean": "euclidean", "squared": "sqeuclidean", "cosine": "cosine"}


def evaluate(kind, rows, dtype=np.float32):
    """Return the distances and the gradient of their sum."""
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.constant(np.asarray(rows, dtype))
        found = distances.pairwise(fed, kind)
        return session.run([found, tf.gradients(tf.reduce_sum(found), fed)[0]])


@pytest.mark.parametrize("kind", sorted(SCIPY))
def test_equals_scipy(kind, random_batch):
    rows, _ = random_batch(1)
    found, _ = evaluate(kind, rows)
    # The product trick loses about 1e-7 of squared distance, hence 1e-3 at worst after the root near 0.
    np.testing.assert_allclose(found, cdist(rows, rows, SCIPY[kind]), atol=2e-6)
    np.testing.assert_array_equal(np.diag(found), 0)


def test_rows_need_not_have_unit_norm():
    found, _ = evaluate("euclidean", [[0, 0], [3, 4], [6, 8]])
    np.testing.assert_allclose(found, [[0, 5, 10], [5, 0, 5], [10, 5, 0]], rtol=1e-6)


@pytest.mark.parametrize("kind", sorted(SCIPY))
def test_duplicates_have_distance_and_gradient_zero(kind, random_batch):
    rows = np.repeat(random_batch(2, size=1, width=128)[0], 7, axis=0)
    found, gradient = evaluate(kind, rows)
    if kind == "cosine":  # the gradient of 1 - x.y is -y: only its component along the sphere vanishes
        gradient = gradient - np.sum(gradient * rows, axis=1, keepdims=True) * rows
        np.testing.assert_allclose(found, 0, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, 0)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


@pytest.mark.parametrize("width", [33, 128, 1280])
def test_round_off_cancels_between_duplicates(width, random_batch):
    # Norms summed apart from the product would leave up to 7e-7, a Euclidean distance of 8e-4.
    for seed in range(4):
        found, _ = evaluate("squared", np.repeat(random_batch(seed, size=1, width=width)[0], 30, axis=0))
        np.testing.assert_array_equal(found, 0)


def test_euclidean_gradient_is_finite_with_a_duplicate_among_others():
    # Sum over ordered pairs; the derivative of |a - b| by a is the unit vector (a - b) / |a - b|, and 0 at a == b.
    found, gradient = evaluate("euclidean", [[1, 0], [1, 0], [0, 0]])
    np.testing.assert_allclose(found, [[0, 0, 1], [0, 0, 1], [1, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(gradient, [[2, 0], [2, 0], [-4, 0]], atol=1e-5)


def test_zero_rows_give_finite_gradients():
    for kind in SCIPY:
        found, gradient = evaluate(kind, np.zeros((3, 4)))
        assert np.isfinite(found).all() and np.isfinite(gradient).all(), kind


def test_never_negative_however_close():
    random = np.random.RandomState(3)
    rows = np.repeat(random.randn(1, 64), 50, axis=0) + 1e-5 * random.randn(50, 64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for kind in SCIPY:
        found, gradient = evaluate(kind, rows)
        assert found.min() >= 0 and np.isfinite(gradient).all(), kind


def test_unknown_distance():
    with pytest.raises(InputError, match=r"unknown distance 'euclid' \(did you mean euclidean\?\); known: cosine, "
                                         "euclidean, squared"):
        evaluate("euclid", np.eye(2))


def test_root_of_0_has_gradient_0():
    """tf.sqrt alone has an infinite slope there."""
    with tf.Graph().as_default(), tf.Session() as session:
        values = tf.constant([0.0, 4.0, 0.25])
        found, slopes = session.run([distances.root(values), tf.gradients(distances.root(values), values)[0]])
    np.testing.assert_allclose(found, [0, 2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(slopes, [0, 0.25, 1], rtol=1e-6)
