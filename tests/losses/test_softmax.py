import math

import numpy as np
import pytest
from scipy.special import log_softmax

from slim_retrieval.losses import softmax


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_loops(run_loss, seed, smoothing):
    random = np.random.RandomState(seed)
    logits, labels = random.randn(6, 4) * 3, random.randint(0, 4, 6)
    expected = 0.0
    for row, label in zip(logits, labels):
        for c, value in enumerate(log_softmax(row)):
            target = (1 - smoothing) * (c == label) + smoothing / 4
            expected -= target * value / 6
    loss, scalars, _ = run_loss(softmax.softmax, logits, labels, label_smoothing=smoothing)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert scalars["accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == labels))


def test_equal_logits_cost_log_c(run_loss):
    assert run_loss(softmax.softmax, np.zeros((3, 8)), [0, 5, 7])[0] == pytest.approx(math.log(8), rel=1e-6)


def test_gradient_is_probability_minus_target(run_loss):
    logits = np.array([[2.0, 0.0, -1.0]])
    _, _, gradient = run_loss(softmax.softmax, logits, [1])
    np.testing.assert_allclose(gradient, np.exp(log_softmax(logits)) - [[0, 1, 0]], atol=1e-6)


def test_huge_logits_stay_finite(run_loss):
    loss, _, gradient = run_loss(softmax.softmax, [[1e4, -1e4]], [1], label_smoothing=0.1)
    # the label's term .9 * 2e4, and .1 * the mean of 0 and 2e4
    assert loss == pytest.approx(0.9 * 2e4 + 0.1 * 1e4, rel=1e-6) and np.isfinite(gradient).all()
