import numpy as np
import pytest
from scipy.special import log_softmax

from slim_retrieval.losses import miners, triplet_softmax

LOGITS = np.random.RandomState(50).randn(12, 4)


def loop_loss(rows, labels, categories, omega, margin, distance, hard):
    """Over all triplets, or over each positive pair with its closest negative of the category."""
    losses = []
    for a in range(len(rows)):
        negatives = [n for n in range(len(rows)) if labels[n] != labels[a] and categories[n] == categories[a]]
        negatives = sorted(negatives, key=lambda n: distance(rows[a], rows[n], "euclidean"))[:1 if hard else None]
        for p in range(len(rows)):
            for n in negatives if p != a and labels[p] == labels[a] else []:
                near, far = (distance(rows[a], rows[i], "euclidean") for i in (p, n))
                hinge = max(0, near - far + margin)
                entropies = [-log_softmax(LOGITS[i])[labels[i]] for i in (a, n)]
                losses.append(omega * hinge + (1 - omega) * sum(entropies) / 2)
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("omega, margin", [(0.7, 0.2), (0.2, 0.8)])
def test_equals_loops(run_loss, random_batch, loop_distance, central_differences, hard, omega, margin):
    categories = np.array([0, 1] * 6, np.int32)

    def loss(rows, labels):
        return triplet_softmax.triplet_softmax(
            rows, LOGITS, labels, omega, margin, triplet_miner=miners.hard_negative if hard else miners.every_triplet,
            categories=categories)
    for seed in (1, 2):
        rows, labels = random_batch(seed)
        found, scalars, gradient = run_loss(loss, rows, labels, dtype=np.float64)
        assert found == pytest.approx(loop_loss(rows, labels, categories, omega, margin, loop_distance, hard), rel=1e-6)
        assert found == pytest.approx(omega * scalars["triplet"] + (1 - omega) * scalars["cross_entropy"])
    expected = central_differences(
        lambda x: loop_loss(x, labels, categories, omega, margin, loop_distance, hard), rows)
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_by_default_each_positive_pair_takes_one_negative(run_loss, random_batch):
    rows, labels = random_batch(3)

    def loss(rows, labels):
        return triplet_softmax.triplet_softmax(rows, LOGITS.astype(np.float32), labels)
    _, scalars, _ = run_loss(loss, rows, labels)
    assert scalars["triplets"] == sum(labels[i] == labels[j] for i in range(12) for j in range(12) if i != j)
