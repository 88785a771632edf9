import math

import numpy as np
import pytest

from slim_retrieval.losses import sigmoid

TAGS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], np.float32)


def run(run_loss, logits, labels, **options):
    def loss(logits, labels, **options):
        return sigmoid.sigmoid(logits, labels, TAGS, **options)
    return run_loss(loss, logits, labels, **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equals_loops(run_loss, smoothing):
    logits, labels = np.random.RandomState(0).randn(5, 3) * 2, [0, 2, -1, 1, 2]
    losses, said, right, true = [], 0, 0, 0
    for row, label in zip(logits, labels):
        if label < 0:
            continue
        for value, target in zip(row, TAGS[label]):
            chance = 1 / (1 + math.exp(-value))
            goal = target * (1 - smoothing) + smoothing / 2
            losses.append(-goal * math.log(chance) - (1 - goal) * math.log(1 - chance))
            said, right, true = said + (value > 0), right + (value > 0) * target, true + target
    loss, scalars, gradient = run(run_loss, logits, labels, label_smoothing=smoothing)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert scalars["precision"] == pytest.approx(right / said) and scalars["recall"] == pytest.approx(right / true)
    assert not gradient[2].any() and np.abs(gradient[[0, 1, 3, 4]]).min() > 0


def test_no_cell_filled(run_loss):
    loss, scalars, gradient = run(run_loss, np.ones((2, 3)), [-1, -1])
    assert loss == 0 and not any(scalars.values()) and not gradient.any()
