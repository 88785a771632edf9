"""The inference tower inside a training session: the network's features, as a graph of its own computes them."""
import logging

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.table import ImageTable, UnreadableImage
from slim_retrieval.nets.extraction import FeatureNetwork
from slim_retrieval.training import towers
from slim_retrieval.training.devices import open_session
from slim_retrieval.training.embed import embed, inference_tower

MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "end_point": "", "pooling": "average",
         "embedding_size": 6, "layout": "slim"}
PIXELS = np.random.RandomState(0).randint(0, 256, (11, 12, 12, 3)).astype(np.uint8)
DEVICES = ["/cpu:0", "/cpu:1"]


def table(bad=()):
    def read(i):
        if i in bad:
            raise UnreadableImage("image{}".format(i), "damaged")
        return PIXELS[i]

    return ImageTable(["image{}".format(i) for i in range(11)], {}, read)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (session, tower, checkpoint) after two steps on two towers: statistics and weights have moved."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        built = towers.build_towers(
            tf.constant(PIXELS[:8].astype(np.float32)), {"label": tf.constant([0, 0, 1, 1] * 2)}, DEVICES, MODEL,
            [{"name": "softmax", "label": "label"}], {"label": 2}, "tower")
        with tf.control_dependencies(built.update_ops):
            step = tf.train.GradientDescentOptimizer(0.5).apply_gradients(built.gradients)
        with tf.control_dependencies([step]):  # both the tower and extraction are to read these
            step = tf.train.ExponentialMovingAverage(0.9).apply([v for _, v in built.gradients])
        variables, updates = tf.global_variables(), tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        tower = inference_tower(MODEL, "/cpu:1")
        assert tf.global_variables() == variables and tf.get_collection(tf.GraphKeys.UPDATE_OPS) == updates
        with open_session(DEVICES) as session:
            session.run(tf.global_variables_initializer())
            session.run(step)
            session.run(step)
            prefix = tf.train.Saver().save(session, str(tmp_path_factory.mktemp("embed") / "model.ckpt"))
            yield session, tower, prefix


def test_features_are_those_of_extraction_and_nothing_changes(trained):
    session, tower, checkpoint = trained
    before = session.run(tower.embedding.graph.get_collection("variables"))
    rows, features = embed(session, tower, table(), batch_size=4)
    with FeatureNetwork(checkpoint, MODEL) as network:
        expected = network(PIXELS)
    assert rows.tolist() == list(range(11)) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert np.abs(features - features[0]).max() > 1e-3
    for old, new in zip(before, session.run(tower.embedding.graph.get_collection("variables"))):
        np.testing.assert_array_equal(old, new)


def test_unreadable_images_are_left_out_and_named(trained, caplog):
    session, tower, _ = trained
    whole = embed(session, tower, table())[1]
    with caplog.at_level(logging.WARNING):
        rows, features = embed(session, tower, table(bad=[0, 5]), batch_size=3)
    assert rows.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    np.testing.assert_allclose(features, whole[rows], atol=1e-6)
    assert "image0" in caplog.text and "image5" in caplog.text


def test_no_image_at_all(trained):
    rows, features = embed(trained[0], trained[1], table().subset([]))
    assert rows.shape == (0,) and features.shape == (0, 6)
