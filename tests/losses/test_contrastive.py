import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import contrastive


def loop_loss(rows, labels, margin, distance):
    total, count = 0.0, 0
    for i in range(len(rows)):
        for j in range(len(rows)):
            if i != j:
                d = distance(rows[i], rows[j], "euclidean")
                total += d ** 2 / 2 if labels[i] == labels[j] else max(0, margin - d) ** 2 / 2
                count += 1
    return total / count


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_loops(run_loss, random_batch, loop_distance, seed, margin):
    rows, labels = random_batch(seed)
    loss, _, _ = run_loss(contrastive.contrastive, rows, labels, margin=margin)
    assert loss == pytest.approx(loop_loss(rows, labels, margin, loop_distance), rel=1e-5)


def test_label_convention():
    # same_class True pulls together (cost grows with distance), False pushes apart (cost falls with it).
    with tf.Graph().as_default(), tf.Session() as session:
        pairs = contrastive.contrastive_of_pairs(tf.constant([0.0, 0.6, 0.0, 0.6, 1.5]),
                                                 tf.constant([True, True, False, False, False]), 1.0)
        np.testing.assert_allclose(session.run(pairs), [0, 0.18, 0.5, 0.08, 0], atol=1e-6)


def test_by_hand(run_loss):
    # Distances: (0,1) 1 same; (0,2) 3 and (1,2) 2 different, margin 2.5.
    loss, scalars, _ = run_loss(contrastive.contrastive, [[0, 0], [1, 0], [3, 0]], [4, 4, 9], margin=2.5)
    assert loss == pytest.approx((1 / 2 + 0 + 0.25 / 2) / 3, rel=1e-5)
    assert scalars["positive_distance"] == pytest.approx(1, rel=1e-5)
    assert scalars["negative_distance"] == pytest.approx(2.5, rel=1e-5)
    assert scalars["active_negatives"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", [3, 4])
def test_gradient_by_central_differences(run_loss, random_batch, loop_distance, central_differences, seed):
    rows, labels = random_batch(seed, size=7, width=3, classes=3)
    _, _, gradient = run_loss(contrastive.contrastive, rows, labels, dtype=np.float64, margin=1.2)
    expected = central_differences(lambda x: loop_loss(x, labels, 1.2, loop_distance), rows)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_duplicates_give_a_finite_gradient(run_loss, random_batch):
    rows, labels = random_batch(5)
    rows[1] = rows[0]
    for other in (labels[0], labels[0] + 1):  # a duplicate within the class, then across classes
        labels[1] = other
        loss, _, gradient = run_loss(contrastive.contrastive, rows, labels)
        assert np.isfinite(loss) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_degenerate_batches(run_loss, degenerate_batches):
    for what, (rows, labels) in degenerate_batches.items():
        loss, scalars, gradient = run_loss(contrastive.contrastive, rows, labels)
        assert np.isfinite([loss] + list(scalars.values())).all() and np.isfinite(gradient).all(), what
    loss, _, gradient = run_loss(contrastive.contrastive, *degenerate_batches["batch of 1"])
    assert loss == 0 and not gradient.any()
    # Singletons that coincide: every pair costs margin^2 / 2, and no direction leads away.
    loss, _, gradient = run_loss(contrastive.contrastive, *degenerate_batches["all singletons, all alike"], margin=0.6)
    assert loss == pytest.approx(0.18, rel=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
