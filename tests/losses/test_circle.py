import math

import numpy as np
import pytest

from slim_retrieval.losses import circle


def loop_loss(rows, labels, margin, scale, frozen):
    """`frozen` are the rows that the weights are taken from: they carry no gradient."""
    losses = []
    for a, row in enumerate(rows):
        left = right = 0.0
        for i in range(len(rows)):
            similarity, constant = row @ rows[i], frozen[a] @ frozen[i]
            if i != a and labels[i] == labels[a]:
                left += math.exp(-scale * max(0, 1 + margin - constant) * (similarity - (1 - margin)))
            elif labels[i] != labels[a]:
                right += math.exp(scale * max(0, constant + margin) * (similarity - margin))
        if left and right:
            losses.append(math.log(1 + left * right))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("margin, scale", [(0.4, 80.0), (0.25, 16.0)])
def test_equals_loops(run_loss, random_batch, central_differences, margin, scale):
    for seed in (0, 1):
        rows, labels = random_batch(seed)
        loss, _, gradient = run_loss(circle.circle, rows, labels, dtype=np.float64, margin=margin, scale=scale)
        assert loss == pytest.approx(loop_loss(rows, labels, margin, scale, rows), rel=1e-6)
    expected = central_differences(lambda x: loop_loss(x, labels, margin, scale, rows), rows)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())


def test_at_the_optimum_of_the_paper_the_loss_is_small(run_loss):
    # s_p = 1 and s_n = 0: exponent -scale m^2 twice (4 positives times negatives: 1 positive, 2 negatives an anchor).
    loss, _, _ = run_loss(circle.circle, [[1, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 1, 1], margin=0.25, scale=20.0)
    assert loss == pytest.approx(math.log(1 + 2 * math.exp(-20 * 0.25 ** 2 * 2)), rel=1e-4)
