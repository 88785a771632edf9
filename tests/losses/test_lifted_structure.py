import math

import numpy as np
import pytest

from slim_retrieval.losses import lifted_structure


def loop_loss(rows, labels, margin, kind, distance):
    losses, count = [], len(rows)
    for i in range(count):
        for j in range(count):
            if i == j or labels[i] != labels[j] or len(set(labels)) == 1:
                continue
            inner = sum(math.exp(margin - distance(rows[end], rows[n], kind))
                        for end in (i, j) for n in range(count) if labels[n] != labels[i])
            losses.append(max(0, math.log(inner) + distance(rows[i], rows[j], kind)) ** 2 / 2)
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("kind, margin", [("euclidean", 1.0), ("squared", 0.1), ("cosine", -1.5)])
def test_equals_loops(equals_loops, loop_distance, kind, margin):
    def loop(rows, labels):
        return loop_loss(rows, labels, margin, kind, loop_distance)
    equals_loops(lifted_structure.lifted_structure, loop, distance=kind, margin=margin)


def test_by_hand(run_loss):
    # On a line: 0 and 1 are a pair, 3 the only negative. J = log(e^{1-3} + e^{1-2}) + 1, both ways.
    lifted = math.log(math.exp(-2) + math.exp(-1)) + 1
    loss, scalars, _ = run_loss(lifted_structure.lifted_structure, [[0.], [1.], [3.]], [0, 0, 1])
    assert loss == pytest.approx(lifted ** 2 / 2, rel=1e-5) and scalars["active_pairs"] == 1
    loss, scalars, gradient = run_loss(lifted_structure.lifted_structure, [[0.], [1.], [9.]], [0, 0, 1])
    assert loss == 0 and scalars["active_pairs"] == 0 and not gradient.any()
