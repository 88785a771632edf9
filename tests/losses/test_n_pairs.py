import math

import numpy as np
import pytest

from slim_retrieval.losses import n_pairs


def loop_loss(rows, labels, scale):
    losses = []
    for a, row in enumerate(rows):
        for p in range(len(rows)):
            if p == a or labels[p] != labels[a] or len(set(labels)) == 1:
                continue
            inner = 0.0
            for other in set(labels) - {labels[a]}:
                terms = [math.exp(scale * (row @ rows[n] - row @ rows[p])) for n in range(len(rows))
                         if labels[n] == other]
                inner += np.mean(terms)
            losses.append(math.log(1 + inner))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_equals_loops(equals_loops, scale):
    equals_loops(n_pairs.n_pairs, lambda rows, labels: loop_loss(rows, labels, scale), scale=scale)


def test_the_papers_case_by_hand(run_loss):
    # One pair and one image each of two other classes: log(1 + e^{s(a,n1) - s(a,p)} + e^{s(a,n2) - s(a,p)}).
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]])
    loss, _, _ = run_loss(n_pairs.n_pairs, rows, [0, 0, 1, 2], scale=1.0)
    first = math.log(1 + math.exp(0 - 0.6) + math.exp(-1 - 0.6))
    second = math.log(1 + math.exp(0.8 - 0.6) + math.exp(-0.6 - 0.6))
    assert loss == pytest.approx((first + second) / 2, rel=1e-5)
