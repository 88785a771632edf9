import math

import numpy as np
import pytest

from slim_retrieval.losses import triplet_batch_hard

LOSS = triplet_batch_hard.triplet_batch_hard


def loop_loss(rows, labels, margin, soft, kind, distance):
    """Return (mean loss, mean hardest positive, mean hardest negative) over anchors that have both."""
    kept = []
    for a in range(len(rows)):
        others = [i for i in range(len(rows)) if i != a]
        positives = [distance(rows[a], rows[i], kind) for i in others if labels[i] == labels[a]]
        negatives = [distance(rows[a], rows[i], kind) for i in others if labels[i] != labels[a]]
        if positives and negatives:
            difference = max(positives) - min(negatives)
            value = math.log(1 + math.exp(difference)) if soft else max(0, margin + difference)
            kept.append((value, max(positives), min(negatives)))
    return np.mean(kept, axis=0) if kept else np.zeros(3)


@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize("margin, soft", [(0.1, False), (0.8, False), (0.0, True)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_loops(run_loss, random_batch, loop_distance, seed, margin, soft, kind):
    rows, labels = random_batch(seed)
    loss, scalars, _ = run_loss(LOSS, rows, labels, margin=margin, soft=soft, distance=kind)
    expected = loop_loss(rows, labels, margin, soft, kind, loop_distance)
    found = [loss, scalars["hardest_positive"], scalars["hardest_negative"]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_anchors_without_positive_are_left_out_of_the_mean(run_loss):
    # On a line; 3 and 3.5 are the only images of their classes, with a negative .5 away: they must not count.
    loss, scalars, _ = run_loss(LOSS, [[0], [1], [3], [3.5]], [0, 0, 1, 2], margin=1.5)
    # anchor 0: 1 - 3 + 1.5 < 0, so 0; anchor 1: 1 - 2 + 1.5 = .5
    assert loss == pytest.approx(0.25, rel=1e-5)
    assert scalars["active_anchors"] == pytest.approx(0.5)


def test_no_negatives_do_not_count_the_margin(run_loss):
    loss, _, gradient = run_loss(LOSS, [[0], [1], [3]], [5, 5, 5], margin=10.0)
    assert loss == 0 and not gradient.any()


def test_self_is_no_positive(run_loss):
    # Class 0's two images coincide: the hardest positive is 0 away, the hardest negative 1.
    loss, _, _ = run_loss(LOSS, [[0], [0], [1]], [0, 0, 1], margin=1.5)
    assert loss == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
def test_gradient_by_central_differences(run_loss, random_batch, loop_distance, central_differences, kind, soft):
    rows, labels = random_batch(9, size=8, width=3, classes=3)
    _, _, gradient = run_loss(LOSS, rows, labels, dtype=np.float64, margin=0.3, soft=soft, distance=kind)
    expected = central_differences(lambda x: loop_loss(x, labels, 0.3, soft, kind, loop_distance)[0], rows)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_gradient_is_not_divided_when_all_negatives_are_equally_far(run_loss):
    # Anchors 0 and 0, one negative at distance 1 from both: d/dx of (margin - |x - n|) is 1 for each anchor and
    # 2 for the negative, over the two anchors of the mean.
    _, _, gradient = run_loss(LOSS, [[0], [0], [1]], [0, 0, 1], margin=1.5)
    np.testing.assert_allclose(gradient, [[0.5], [0.5], [-1]], atol=1e-5)


def test_duplicates_give_a_finite_gradient(run_loss, random_batch):
    rows, _ = random_batch(10, size=8)
    rows[1], rows[5] = rows[0], rows[2]
    for soft in (False, True):
        loss, _, gradient = run_loss(LOSS, rows, [0, 0, 1, 1, 2, 2, 3, 3], soft=soft)
        assert np.isfinite(loss) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_degenerate_batches_cost_nothing(run_loss, degenerate_batches):
    for what, (rows, labels) in degenerate_batches.items():
        for kind in ("euclidean", "squared", "cosine"):
            for soft in (False, True):
                loss, scalars, gradient = run_loss(LOSS, rows, labels, distance=kind, soft=soft)
                assert loss == 0 and not any(scalars.values()), what
                np.testing.assert_array_equal(gradient, np.zeros_like(rows), err_msg=what)
