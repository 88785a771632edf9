import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses.reducers import REDUCERS

LOSSES = np.array([[1.0, 0.0, 5.0], [2.0, 9.0, 9.0], [4.0, 4.0, 4.0]])
VALID = np.array([[True, True, False], [True, False, False], [False, False, False]])


def evaluate(name, losses, valid):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(REDUCERS[name](tf.constant(losses), tf.constant(valid)))


@pytest.mark.parametrize("name, expected", [
    ("mean", (1 + 0 + 2) / 3), ("mean_active", (1 + 2) / 2), ("sum", 3.0), ("mean_per_anchor", (0.5 + 2) / 2)])
def test_by_hand(name, expected):
    assert evaluate(name, LOSSES, VALID) == pytest.approx(expected)
    assert evaluate(name, LOSSES[:, :, None], VALID[:, :, None]) == pytest.approx(expected)  # triplets
    assert evaluate(name, LOSSES, np.zeros_like(VALID)) == 0
    assert evaluate(name, np.zeros(0), np.zeros(0, bool)) == 0


def test_of_anchors_alone():
    losses, valid = np.array([1.0, 0.0, 7.0]), np.array([True, True, False])
    found = [evaluate(name, losses, valid) for name in ("mean", "mean_active", "sum", "mean_per_anchor")]
    assert found == pytest.approx([0.5, 1.0, 1.0, 0.5])
