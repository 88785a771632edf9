import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.model import pool
from slim_retrieval.nets.pooling import POOLING, gem
from slim_retrieval.nets.regions import regions

MAPS = np.random.RandomState(0).randn(2, 3, 4, 5).astype(np.float32)


def run(name, maps, size_known=True):
    with tf.Graph().as_default(), tf.Session() as session:
        height, width = maps.shape[1:3] if size_known else (None, None)
        images = tf.placeholder(tf.float32, [None, height, width, maps.shape[3]])
        result = POOLING[name](images)
        assert result.shape.as_list()[1] is not None
        return session.run(result, {images: maps})


def crow_by_hand(image):
    """Kalantidis et al., section 4, position by position and channel by channel."""
    total = [[sum(image[y, x, c] for c in range(5)) for x in range(4)] for y in range(3)]
    length = sum(value ** 2 for row in total for value in row) ** 0.5
    active = [sum(image[y, x, c] > 0 for y in range(3) for x in range(4)) / 12 for c in range(5)]
    rare = [np.log((5e-6 + sum(active)) / (1e-6 + share)) for share in active]
    return [rare[c] * sum(image[y, x, c] * (total[y][x] / length) ** 0.5 for y in range(3) for x in range(4))
            for c in range(5)]


def by_hand(name, maps):
    """Loop over images and channels."""
    rows = []
    for image in maps.astype(np.float64):
        if name == "none":
            rows.append([image[y, x, c] for y in range(3) for x in range(4) for c in range(5)])
            continue
        if name == "crow":
            rows.append(crow_by_hand(np.maximum(image, 0)))
            continue
        if name == "rmac":
            # 3 x 4: of level 1 the 3 x 3 squares at the left and right; of level 2 side 2, of level 3 side 1.
            squares = [(0, 0, 3), (0, 1, 3)]
            squares += [(y, x, 2) for y in (0, 1) for x in (0, 1, 2)]
            squares += [(y, x, 1) for y in (0, 1, 2) for x in (0, 1, 2, 3)]
            vectors = [[max(image[y + i, x + j, c] for i in range(k) for j in range(k)) for c in range(5)]
                       for y, x, k in squares]
            rows.append(sum(np.array(v) / np.linalg.norm(v) for v in vectors))
            continue
        channels = [[image[y, x, c] for y in range(3) for x in range(4)] for c in range(5)]
        if name == "average":
            rows.append([sum(values) / 12 for values in channels])
        elif name == "max":
            rows.append([max(values) for values in channels])
        else:
            rows.append([(sum(max(v, 1e-6) ** 3 for v in values) / 12) ** (1 / 3) for values in channels])
    return np.array(rows)


@pytest.mark.parametrize("name", ["average", "max", "gem", "rmac", "crow", "none"])
def test_equals_a_loop(name):
    maps = np.maximum(MAPS, 0) if name == "crow" else MAPS  # it is made for maps after ReLU
    np.testing.assert_allclose(run(name, maps), by_hand(name, maps), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["average", "max", "gem", "rmac", "crow"])
@pytest.mark.parametrize("height, width", [(3, 3), (3, 10), (9, 2)])
def test_maps_whose_size_only_the_batch_tells(name, height, width):
    maps = np.random.RandomState(1).rand(2, height, width, 5).astype(np.float32)
    np.testing.assert_allclose(run(name, maps, size_known=False), run(name, maps), rtol=1e-5)


def test_no_pooling_is_untested():
    assert sorted(POOLING) == ["average", "crow", "gem", "gem_learned", "max", "none", "rmac"]


# By hand, from the paper: squares of 2 * 7 / (l + 1) pixels, l by l of them from edge to edge.
def test_regions_of_a_square_map():
    assert regions(7, 7) == [(0, 0, 7)] + [(y, x, 4) for y in (0, 3) for x in (0, 3)] + [
        (y, x, 3) for y in (0, 2, 4) for x in (0, 2, 4)]
    assert regions(1, 1) == [(0, 0, 1)] * 14


@pytest.mark.parametrize("height, width, squares", [(10, 16, 2), (10, 23, 3), (10, 100, 7), (10, 11, 2)])
def test_along_the_longer_side_neighbours_overlap_by_about_40_percent(height, width, squares):
    # 10 x 16: two squares of 10 overlap by 4; 10 x 23: three by 3.5 (two would leave a gap).
    for found in (regions(height, width), [(x, y, side) for y, x, side in regions(width, height)]):
        assert len([r for r in found if r[2] == 10]) == squares
        assert len([r for r in found if r[2] == 5]) == 3 * (squares + 2)
        assert all(y + side <= height and x + side <= width for y, x, side in found)
        assert max(x + side for _, x, side in found) == width


def test_learned_power():
    with tf.Graph().as_default(), tf.Session() as session:
        maps = tf.constant(np.maximum(MAPS, 0))
        pooled = pool(maps, "gem_learned", 2.5)
        again = pool(2 * maps, "gem_learned", 2.5)  # another tower or view
        power, = tf.trainable_variables()
        assert power.op.name == "pooling/p" and tf.model_variables() == [power]
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(pooled), session.run(gem(maps, 2.5)), rtol=1e-6)
        np.testing.assert_allclose(session.run(again), 2 * session.run(pooled), rtol=1e-4)
        # The gradient, by a difference of the fixed pooling.
        slope = session.run(tf.gradients(tf.reduce_sum(pooled), power)[0])
        above, below = (session.run(tf.reduce_sum(gem(maps, p))) for p in (2.51, 2.49))
        assert slope == pytest.approx((above - below) / 0.02, rel=1e-2)


@pytest.mark.parametrize("name", ["rmac", "crow", "gem_learned"])
def test_gradients_at_an_empty_map_are_finite(name):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.zeros((1, 3, 3, 2), np.float32))
        gradient = tf.gradients(POOLING[name](images), [images] + tf.trainable_variables())
        session.run(tf.global_variables_initializer())
        assert all(np.isfinite(g).all() for g in session.run(gradient))


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
