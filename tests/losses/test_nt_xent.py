import math

import numpy as np
import pytest
from scipy.special import logsumexp

from slim_retrieval.losses import nt_xent


def loop_loss(rows, labels, temperature):
    losses = []
    for a, row in enumerate(rows):
        negatives = [row @ rows[n] / temperature for n in range(len(rows)) if labels[n] != labels[a]]
        for p in range(len(rows)):
            if p != a and labels[p] == labels[a] and negatives:
                positive = row @ rows[p] / temperature
                losses.append(logsumexp([positive] + negatives) - positive)
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_loops(equals_loops, temperature):
    equals_loops(nt_xent.nt_xent, lambda rows, labels: loop_loss(rows, labels, temperature), temperature=temperature)


def test_simclr_by_hand(run_loss):
    # Two images, two views each, cosine 0.8 between partners.
    rows = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]])
    products = rows @ rows.T
    expected = 0.0
    for i, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        others = [k for k in range(4) if k != i]
        expected -= math.log(math.exp(products[i, partner]) / sum(math.exp(products[i, k]) for k in others)) / 4
    assert run_loss(nt_xent.nt_xent, rows, [0, 0, 1, 1], temperature=1.0)[0] == pytest.approx(expected, rel=1e-5)
