import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.pooling import POOLING, gem

MAPS = np.random.RandomState(0).randn(2, 3, 4, 5).astype(np.float32)


def run(name, maps):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None] + list(maps.shape[1:]))
        result = POOLING[name](images)
        assert result.shape.as_list()[1] is not None
        return session.run(result, {images: maps})


def by_hand(name, maps):
    """Loop over images and channels."""
    rows = []
    for image in maps.astype(np.float64):
        if name == "none":
            rows.append([image[y, x, c] for y in range(3) for x in range(4) for c in range(5)])
            continue
        channels = [[image[y, x, c] for y in range(3) for x in range(4)] for c in range(5)]
        if name == "average":
            rows.append([sum(values) / 12 for values in channels])
        elif name == "max":
            rows.append([max(values) for values in channels])
        else:
            rows.append([(sum(max(v, 1e-6) ** 3 for v in values) / 12) ** (1 / 3) for values in channels])
    return np.array(rows)


@pytest.mark.parametrize("name", ["average", "max", "gem", "none"])
def test_equals_a_loop(name):
    np.testing.assert_allclose(run(name, MAPS), by_hand(name, MAPS), rtol=1e-5, atol=1e-6)


def test_no_pooling_is_untested():
    assert sorted(POOLING) == ["average", "gem", "max", "none"]


# 1 is the average; the larger, the nearer to the maximum: (4^20 / 4)^(1/20) = 3.732.
@pytest.mark.parametrize("power, expected", [(1.0, 2.5), (20.0, 3.732)])
def test_gem_lies_between_average_and_maximum(power, expected):
    with tf.Graph().as_default(), tf.Session() as session:
        value = session.run(gem(tf.constant([1.0, 2.0, 3.0, 4.0], shape=[1, 2, 2, 1]), power))
    assert value[0, 0] == pytest.approx(expected, rel=2e-3)


def test_gem_gradient_at_zeros_is_finite():
    # Relu gives exact zeros, often a whole channel of them; x^(1/3) has an infinite gradient there.
    maps = np.zeros((1, 2, 2, 2), np.float32)
    maps[0, :, :, 1] = [[0, 1], [0, 0]]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(maps)
        gradient = session.run(tf.gradients(POOLING["gem"](images), images)[0])
    assert np.isfinite(gradient).all()
    # d/dx (x^3 / 4)^(1/3) = 4^(-1/3).
    assert gradient[0, 0, 1, 1] == pytest.approx(4 ** (-1 / 3), rel=1e-4)
    assert np.abs(gradient).max() <= 1
