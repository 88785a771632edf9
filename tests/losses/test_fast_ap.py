import numpy as np
import pytest

from slim_retrieval.losses import fast_ap


def loop_loss(rows, labels, bins, distance):
    losses, step = [], 4.0 / bins
    for a, row in enumerate(rows):
        others = [i for i in range(len(rows)) if i != a]
        positives = [i for i in others if labels[i] == labels[a]]
        if not positives or len(positives) == len(others):
            continue
        histograms = np.zeros((2, bins + 1))
        for i in others:
            for j in range(bins + 1):
                pulse = max(0.0, 1 - abs(distance(row, rows[i], "squared") - j * step) / step)
                histograms[1, j] += pulse
                histograms[0, j] += pulse * (i in positives)
        area = sum(histograms[0, j] * histograms[0, :j + 1].sum() / histograms[1, :j + 1].sum()
                   for j in range(bins + 1) if histograms[1, :j + 1].sum() > 0)
        losses.append(1 - area / len(positives))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("bins", [5, 10])
def test_equals_loops(equals_loops, loop_distance, bins):
    equals_loops(fast_ap.fast_ap, lambda rows, labels: loop_loss(rows, labels, bins, loop_distance), bins=bins)


def test_perfect_and_worst_order_by_hand(run_loss):
    # Positives at distance 0, negatives at squared distance 4: bins apart, AP 1.
    assert run_loss(fast_ap.fast_ap, [[1, 0], [1, 0], [-1, 0], [-1, 0]], [0, 0, 1, 1])[0] == pytest.approx(0, abs=1e-6)
    # The one positive at 4, the two negatives at 0 and 4: it is 1 of 3 (its bin holds a negative too).
    loss, _, _ = run_loss(fast_ap.fast_ap, [[1, 0], [-1, 0], [1, 0], [-1, 0]], [0, 0, 1, 1])
    assert loss == pytest.approx(1 - 1 / 3, rel=1e-5)
