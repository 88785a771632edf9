import math

import numpy as np
import pytest

from slim_retrieval.losses import miners, multi_similarity

LOSS = multi_similarity.multi_similarity


def loop_loss(rows, labels, alpha, beta, base, epsilon=None):
    losses = []
    for a, row in enumerate(rows):
        positives = [row @ rows[i] for i in range(len(rows)) if i != a and labels[i] == labels[a]]
        negatives = [row @ rows[i] for i in range(len(rows)) if labels[i] != labels[a]]
        if not positives or not negatives:
            continue
        kept = positives, negatives
        if epsilon is not None:
            kept = ([s for s in positives if s < max(negatives) + epsilon],
                    [s for s in negatives if s > min(positives) - epsilon])
        losses.append(math.log(1 + sum(math.exp(-alpha * (s - base)) for s in kept[0])) / alpha
                      + math.log(1 + sum(math.exp(beta * (s - base)) for s in kept[1])) / beta)
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("alpha, beta, base", [(2.0, 50.0, 0.5), (1.0, 10.0, 1.0)])
def test_equals_loops(equals_loops, alpha, beta, base):
    equals_loops(LOSS, lambda rows, labels: loop_loss(rows, labels, alpha, beta, base, 0.1),
                 alpha=alpha, beta=beta, base=base)
    equals_loops(LOSS, lambda rows, labels: loop_loss(rows, labels, alpha, beta, base),
                 alpha=alpha, beta=beta, base=base, pair_miner=miners.every_pair)


def test_an_anchor_of_which_the_miner_keeps_nothing_counts_as_zero(run_loss):
    # Cosines: (0, 1) 1, (2, 3) -0.2, (0, 2) -1, (0, 3) 0.2. Anchors 0 and 1: nothing lies within 0.1 of their positive;
    # anchor 2's negatives are farther than its positive; anchor 3's are closer: it alone keeps its pairs, 1 and 2.
    rows = np.array([[1, 0], [1, 0], [-1, 0], [0.2, 0.9797959]])
    loss, scalars, _ = run_loss(LOSS, rows, [0, 0, 1, 1])
    assert loss == pytest.approx(loop_loss(rows, [0, 0, 1, 1], 2.0, 50.0, 0.5, 0.1), rel=1e-4)
    assert scalars["mined_positives"] == pytest.approx(1 / 4) and scalars["mined_negatives"] == pytest.approx(2 / 8)
