"""GFR's losses in NumPy against those that the networks train with, values and gradients from TensorFlow."""
import types

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_losses, gfr_losses_training

OPTIONS = types.SimpleNamespace(margin=0.4, omega=0.3)
BATCH, CLASSES, WIDTH = 7, 4, 6


class Model:
    """What gfr_training.Model gives to a loss, on features that are given."""

    def __init__(self, features, head, labels, valid):
        self.features, self.labels = features, tf.constant(labels, tf.int32)
        self.valid = tf.constant(valid, tf.float32)
        self.logits = tf.matmul(tf.nn.relu(features), head[:-1]) + head[-1]

    def entropy(self, part):
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=self.labels[part], logits=self.logits[part]))


def drawn(roles, valid):
    """Return (unit rows, Drawn): positives of the anchor's class, negatives of the next one."""
    rng = np.random.RandomState(roles)
    f = rng.normal(size=(roles * BATCH, WIDTH))
    anchors = np.array([0, 1, 2, 3, 0, 1, 1])
    labels = np.concatenate([anchors, anchors, (anchors + 1) % CLASSES])[:roles * BATCH]
    return (f / np.linalg.norm(f, axis=1, keepdims=True)).astype(np.float32), gfr_losses.Drawn(labels, valid)


@pytest.mark.parametrize("valid", [np.ones(BATCH), np.arange(BATCH) % 2, np.zeros(BATCH)], ids=["all", "some", "none"])
@pytest.mark.parametrize("name", sorted(gfr_losses.LOSSES))
def test_value_and_gradients_are_tensorflows(name, valid):
    loss, roles, classifies = gfr_losses.LOSSES[name]
    other, same_roles, also_classifies = gfr_losses_training.LOSSES[name]
    assert (roles, classifies) == (same_roles, also_classifies)
    f, batch = drawn(roles, valid.astype(float))
    head = np.random.RandomState(9).normal(size=(WIDTH + 1, CLASSES)).astype(np.float32)
    value, slope, of_head = loss(f, batch, head, OPTIONS)
    with tf.Graph().as_default(), tf.Session() as session:
        rows, classifier = tf.constant(f), tf.constant(head)
        expected = other(Model(rows, classifier, batch.labels, valid), OPTIONS)
        slopes = tf.gradients(expected, [rows, classifier] if classifies else [rows])
        expected, slopes = session.run([expected, slopes])
    assert value == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(slope, slopes[0], atol=1e-5)
    if classifies:
        np.testing.assert_allclose(of_head, slopes[1], atol=1e-5)
    else:
        assert of_head is None


def test_temperatures_agree():
    assert gfr_losses.TEMPERATURE == gfr_losses_training.TEMPERATURE
