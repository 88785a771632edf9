import numpy as np

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.preprocessing import PREPROCESSING


def run(name, pixel):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(PREPROCESSING[name](tf.constant([[[pixel]]], tf.float32)))[0, 0, 0]


def test_means_are_subtracted_in_rgb_order():
    # Red has the largest mean; in BGR order the first and last would be exchanged.
    np.testing.assert_allclose(run("subtract_means", [255, 0, 103.939]), [131.32, -116.779, 0], atol=1e-4)


def test_range_is_minus_one_to_one():
    np.testing.assert_allclose(run("minus_one_to_one", [0, 127.5, 255]), [-1, 0, 1], atol=1e-6)


def test_statistics_of_torchvision():
    # Of the training images: a pixel of the mean colour is 0, one a deviation above it is 1.
    np.testing.assert_allclose(run("imagenet_statistics", [0.485 * 255, (0.456 + 0.224) * 255, 0]),
                               [0, 1, -0.406 / 0.225], atol=1e-5)
