"""The losses of GFR's training against arithmetic by hand and loops."""
import types

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_losses_training


def test_rank_loss_by_hand():
    anchors = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    positives = np.array([[.6, .8], [0, 1], [1, 0]], np.float32)
    negatives = np.array([[.8, .6], [1, 0], [1, 0]], np.float32)
    # .1 - .6 + .8 = .3; max(0, .1 - 1 + 0) = 0; the third has no positive and is left out.
    for valid, expected in [([1, 1, 0], .15), ([1, 0, 0], .3), ([0, 0, 0], 0)]:
        with tf.Graph().as_default(), tf.Session() as session:
            loss = session.run(gfr_losses_training.rank_loss(anchors, positives, negatives, np.float32(valid), .1))
        assert loss == pytest.approx(expected, abs=1e-6)


def test_batch_loss_by_hand():
    rng = np.random.RandomState(0)
    a, p = rng.normal(size=(2, 4, 3)).astype(np.float32)
    labels, valid = np.array([0, 1, 0, 2], np.int32), np.array([1, 1, 1, 0], np.float32)
    expected = []
    for i in range(3):
        candidates = [j for j in range(4) if j == i or labels[j] != labels[i]]
        scores = np.exp([a[i] @ p[j] / 0.1 for j in candidates])
        expected.append(-np.log(scores[candidates.index(i)] / scores.sum()))
    with tf.Graph().as_default(), tf.Session() as session:
        loss = session.run(gfr_losses_training.batch_loss(tf.constant(a), tf.constant(p), tf.constant(labels),
                                                   tf.constant(valid)))
        none = session.run(gfr_losses_training.batch_loss(tf.constant(a), tf.constant(p), tf.constant(labels),
                                                   tf.zeros([4])))
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)
    assert none == 0


@pytest.mark.parametrize("name, parts", [
    ("class", {"class": 1}), ("rank", {"rank": 1}), ("batch", {"batch": 1}), ("unsupervised", {"batch": 1}),
    ("classRank", {"class": 0.7, "rank": 0.3}), ("classBatch", {"class": 0.7, "batch": 0.3})])
def test_losses_are_made_of_their_parts(name, parts):
    """Cross entropy is of the anchors, or of anchors and positives with classBatch."""
    rng = np.random.RandomState(0)
    loss, roles, classifies = gfr_losses_training.LOSSES[name]
    assert classifies == ("class" in parts)
    f = rng.normal(size=(roles, 4, 3)).astype(np.float32)
    labels, entropies = np.array([0, 1, 0, 2] * roles), rng.rand(4 * roles).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        model = types.SimpleNamespace(features=tf.constant(f.reshape(-1, 3)), labels=tf.constant(labels),
                                      valid=tf.constant([1., 1., 0., 1.]),
                                      entropy=lambda part: tf.reduce_mean(tf.constant(entropies)[part]))
        found = session.run(loss(model, types.SimpleNamespace(omega=0.3, margin=0.2)))
    value = {"class": np.mean(entropies if name in ("class", "classBatch") else entropies[:4])}
    used = [0, 1, 3]
    if roles == 3:
        value["rank"] = np.mean([max(0, 0.2 - f[0, i] @ f[1, i] + f[0, i] @ f[2, i]) for i in used])
    if roles == 2:
        terms = []
        for i in used:
            rivals = [j for j in range(4) if j == i or labels[j] != labels[i]]
            terms.append(np.log(sum(np.exp(f[0, i] @ f[1, j] / 0.1 - f[0, i] @ f[1, i] / 0.1) for j in rivals)))
        value["batch"] = np.mean(terms)
    assert found == pytest.approx(sum(share * value[part] for part, share in parts.items()), rel=1e-4)
