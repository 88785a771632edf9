import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.small_cnn import small_cnn

# Odd sides: pooling leaves the last row out.
IMAGES = np.random.RandomState(1).uniform(-1, 1, (2, 9, 14, 3)).astype(np.float32)


def placeholder(images=IMAGES):
    return tf.placeholder(tf.float32, [None] + list(images.shape[1:]))


def test_forward_equals_numpy(layers, load_random):
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder()
        net, end_points = small_cnn(images, False, 0.25)
        values = load_random(session)
        output, stages = session.run([net, end_points], {images: IMAGES})
    x = IMAGES
    for stage in (1, 2, 3):
        x = x if stage == 1 else layers.max_pool(x)
        for layer in ((1,) if stage == 1 else (1, 2)):
            scope = "small_cnn/conv_{}_{}".format(stage, layer)
            x = np.maximum(layers.batch_norm(layers.conv(x, values[scope + "/weights"]), values, scope), 0)
        np.testing.assert_allclose(stages["stage_{}".format(stage)], x, rtol=1e-4, atol=1e-4)
    assert output.shape == (2, 2, 3, 32) and sorted(stages) == ["stage_1", "stage_2", "stage_3"]
    np.testing.assert_allclose(output, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor, widths", [(1.0, [24, 48, 128]), (0.5, [12, 24, 64]), (0.01, [1, 1, 1])])
@pytest.mark.parametrize("size", [8, 28])
@pytest.mark.parametrize("training", [False, True])
def test_builds(factor, widths, size, training):
    with tf.Graph().as_default():
        net, end_points = small_cnn(tf.zeros([2, size, size, 3]), training, factor)
        assert net.shape.as_list() == [2, size // 4, size // 4, widths[2]]
        assert [end_points["stage_{}".format(i)].shape.as_list()[3] for i in (1, 2, 3)] == widths
        # Five convolutions without biases, each with beta, gamma and two averages.
        assert len(tf.global_variables()) == 5 * 5
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == (10 if training else 0)
        assert tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) == []


def test_moving_averages_move_with_their_update_ops(layers):
    # Rate 0, one batch, three steps: the averages go 1 - 0.95^3 of the way to the batch's own statistics.
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        images = placeholder()
        net, _ = small_cnn(images, True, 0.25)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            inference, _ = small_cnn(images, False, 0.25)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train = tf.train.GradientDescentOptimizer(0.0).minimize(tf.reduce_mean(net))
        session.run(tf.global_variables_initializer())
        before = session.run(inference, {images: IMAGES})
        for _ in range(3):
            session.run(train, {images: IMAGES})
        after = session.run(inference, {images: IMAGES})
        values = {v.op.name: v for v in tf.global_variables()}
        weights, mean, variance = session.run([values["small_cnn/conv_1_1/" + name] for name in (
            "weights", "BatchNorm/moving_mean", "BatchNorm/moving_variance")])
    outputs = layers.conv(IMAGES, weights).reshape(-1, 6)
    share = 1 - 0.95 ** 3
    np.testing.assert_allclose(mean, share * outputs.mean(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(variance, (1 - share) + share * outputs.var(0, ddof=1), rtol=1e-3)
    assert np.abs(after - before).max() > 0.01
