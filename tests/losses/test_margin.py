import numpy as np
import pytest

from slim_retrieval.losses import margin, miners

LOSS = margin.margin


def loop_loss(rows, labels, boundaries, alpha, distance, nu=0.0):
    """Over all triplets, so that nothing is drawn."""
    active, mined = [], set()
    for a in range(len(rows)):
        for p in range(len(rows)):
            for n in range(len(rows)):
                if p != a and labels[p] == labels[a] and labels[n] != labels[a]:
                    boundary = boundaries[labels[a]]
                    active.append(max(0, alpha + distance(rows[a], rows[p], "euclidean") - boundary))
                    active.append(max(0, alpha - distance(rows[a], rows[n], "euclidean") + boundary))
                    mined.add(a)
    active = [value for value in active if value > 0]
    return (np.mean(active) if active else 0.0) + nu * np.mean([boundaries[labels[a]] for a in sorted(mined)])


@pytest.mark.parametrize("nu", [0.0, 0.3])
def test_equals_loops(run_loss, random_batch, loop_distance, central_differences, nu):
    boundaries = np.array([1.2, 0.9, 1.3, 1.1])
    for seed in (0, 1):
        rows, labels = random_batch(seed)
        loss, scalars, gradient, others = run_loss(
            LOSS, rows, labels, dtype=np.float64, variables={"beta": boundaries}, num_classes=4, nu=nu,
            triplet_miner=miners.every_triplet)
        assert loss == pytest.approx(loop_loss(rows, labels, boundaries, 0.2, loop_distance, nu), rel=1e-6)
    for found, expected in (
            (gradient, central_differences(lambda x: loop_loss(x, labels, boundaries, 0.2, loop_distance, nu), rows)),
            (others["beta"], central_differences(
                lambda b: loop_loss(rows, labels, b, 0.2, loop_distance, nu), boundaries))):
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_fixed_boundary_has_no_variable_and_the_drawn_negatives_are_the_miners(run_loss, random_batch, loop_distance):
    rows, labels = random_batch(4)
    # fixture run_loss asserts that there is no variable
    loss, scalars, _ = run_loss(LOSS, rows, labels, dtype=np.float64, num_classes=4, learn_beta=False, beta=1.0,
                                triplet_miner=miners.batch_hard)
    active = []
    for a in range(len(rows)):
        others = [(loop_distance(rows[a], rows[i], "euclidean"), labels[i]) for i in range(len(rows)) if i != a]
        positives = [distance for distance, label in others if label == labels[a]]
        negatives = [distance for distance, label in others if label != labels[a]]
        if positives and negatives:
            active += [0.2 + max(positives) - 1.0, 0.2 - min(negatives) + 1.0]
    assert loss == pytest.approx(np.mean([v for v in active if v > 0]), rel=1e-6)
    assert scalars["beta"] == pytest.approx(1.0)
    assert scalars["active_positives"] == pytest.approx(np.mean(np.array(active[::2]) > 0))
