import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.losses import smooth_ap


def loop_loss(rows, labels, temperature):
    losses = []
    for a, row in enumerate(rows):
        others = [i for i in range(len(rows)) if i != a]
        positives = [i for i in others if labels[i] == labels[a]]
        if not positives or len(positives) == len(others):
            continue
        precisions = []
        for i in positives:
            before = {j: 1 / (1 + np.exp(-(row @ rows[j] - row @ rows[i]) / temperature)) for j in others if j != i}
            rank = 1 + sum(value for j, value in before.items() if j in positives)
            precisions.append(rank / (1 + sum(before.values())))
        losses.append(1 - np.mean(precisions))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_equals_loops(equals_loops, temperature):
    equals_loops(smooth_ap.smooth_ap, lambda rows, labels: loop_loss(rows, labels, temperature),
                 temperature=temperature)


def test_sharp_sigmoids_give_average_precision(run_loss, random_batch):
    rows, labels = random_batch(3)
    expected = []
    for a in range(len(rows)):
        right = np.delete(labels == labels[a], a)
        if right.any() and not right.all():
            expected.append(1 - average_precision_score(right, np.delete(rows @ rows[a], a)))
    loss, _, _ = run_loss(smooth_ap.smooth_ap, rows, labels, dtype=np.float64, temperature=1e-5)
    assert loss == pytest.approx(np.mean(expected), rel=1e-6)
