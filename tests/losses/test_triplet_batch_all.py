import numpy as np
import pytest

from slim_retrieval.losses import triplet_batch_all

LOSS = triplet_batch_all.triplet_batch_all


def loop_loss(rows, labels, margin, kind, distance):
    """Return (mean over the active triplets, their share of the valid ones)."""
    n, active, valid = len(rows), [], 0
    for a in range(n):
        for p in range(n):
            for k in range(n):
                if a != p and labels[a] == labels[p] and labels[a] != labels[k]:
                    valid += 1
                    value = distance(rows[a], rows[p], kind) - distance(rows[a], rows[k], kind) + margin
                    if value > 0:
                        active.append(value)
    return (np.mean(active) if active else 0.0), len(active) / max(valid, 1)


@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_loops(run_loss, random_batch, loop_distance, seed, margin, kind):
    rows, labels = random_batch(seed)
    loss, scalars, _ = run_loss(LOSS, rows, labels, margin=margin, distance=kind)
    expected, share = loop_loss(rows, labels, margin, kind, loop_distance)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert scalars["active_triplets"] == pytest.approx(share, rel=1e-6)


def test_only_active_triplets_are_averaged(run_loss):
    # On a line: anchor 0 and positive 1; negatives at 1.5 and 10; margin 1.
    # (0,1,1.5): 1 - 1.5 + 1 = .5; (1,0,1.5): 1 - .5 + 1 = 1.5; with the far negative both are inactive.
    loss, scalars, _ = run_loss(LOSS, [[0], [1], [1.5], [10]], [0, 0, 1, 2], margin=1.0)
    assert loss == pytest.approx(1.0, rel=1e-5)  # averaged over all four it would be .5
    assert scalars["active_triplets"] == pytest.approx(0.5)


def test_well_separated_classes_cost_nothing(run_loss):
    loss, scalars, gradient = run_loss(LOSS, [[1, 0], [1, 0], [-1, 0], [-1, 0]], [0, 0, 1, 1], margin=0.5)
    assert loss == 0 and scalars["active_triplets"] == 0 and not gradient.any()


@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
def test_gradient_by_central_differences(run_loss, random_batch, loop_distance, central_differences, kind):
    rows, labels = random_batch(6, size=7, width=3, classes=3)
    _, _, gradient = run_loss(LOSS, rows, labels, dtype=np.float64, margin=0.3, distance=kind)
    expected = central_differences(lambda x: loop_loss(x, labels, 0.3, kind, loop_distance)[0], rows)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


@pytest.mark.parametrize("kind", ["euclidean", "squared"])
def test_collapsed_batch_costs_the_margin(run_loss, random_batch, kind):
    rows = np.repeat(random_batch(7, size=1)[0], 8, axis=0)
    loss, scalars, gradient = run_loss(LOSS, rows, [0, 0, 1, 1, 2, 2, 3, 3], margin=0.4, distance=kind)
    assert loss == pytest.approx(0.4, rel=1e-5) and scalars["active_triplets"] == 1
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_duplicates_give_a_finite_gradient(run_loss, random_batch):
    rows, _ = random_batch(8, size=8)
    rows[1], rows[5] = rows[0], rows[2]  # a duplicate within a class and one across classes
    loss, _, gradient = run_loss(LOSS, rows, [0, 0, 1, 1, 2, 2, 3, 3])
    assert np.isfinite(loss) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_degenerate_batches_cost_nothing(run_loss, degenerate_batches):
    for what, (rows, labels) in degenerate_batches.items():
        for kind in ("euclidean", "squared", "cosine"):
            loss, scalars, gradient = run_loss(LOSS, rows, labels, distance=kind)
            assert loss == 0 and scalars["active_triplets"] == 0, what
            np.testing.assert_array_equal(gradient, np.zeros_like(rows), err_msg=what)
