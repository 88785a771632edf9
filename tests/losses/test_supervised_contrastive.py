import numpy as np
import pytest
from scipy.special import logsumexp

from slim_retrieval.losses import nt_xent, supervised_contrastive

LOSS = supervised_contrastive.supervised_contrastive


def loop_loss(rows, labels, temperature):
    losses = []
    for a, row in enumerate(rows):
        others = [i for i in range(len(rows)) if i != a]
        positives = [p for p in others if labels[p] == labels[a]]
        if positives and len(positives) < len(others):
            whole = logsumexp([row @ rows[k] / temperature for k in others])
            losses.append(np.mean([whole - row @ rows[p] / temperature for p in positives]))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_loops(equals_loops, temperature):
    equals_loops(LOSS, lambda rows, labels: loop_loss(rows, labels, temperature), temperature=temperature)


def test_pairs_alone_make_it_nt_xent(run_loss, random_batch):
    rows, _ = random_batch(5, size=8)
    labels = [0, 0, 1, 1, 2, 2, 3, 3]
    found = [run_loss(f, rows, labels, temperature=0.3)[0] for f in (LOSS, nt_xent.nt_xent)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
