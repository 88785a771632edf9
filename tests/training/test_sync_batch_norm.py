"""Synchronised batch norm: several towers are one tower with the whole batch."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets import mobilenet_v2
from slim_retrieval.nets.factory import NETWORKS
from slim_retrieval.training import sync_batch_norm, towers
from slim_retrieval.training.devices import open_session

MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 16, "end_point": "", "pooling": "average",
         "embedding_size": 6}
# Towers that see quite different images: moments of one slice would be far from those of the batch.
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 16, 16, 3)) * np.linspace(0.1, 1, 8)[:, None, None, None]
LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0], np.int32)


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    """ResNet v1 of two units, MobileNetV2 of three blocks; each with all kinds of its layers."""
    def resnet(images, update_batch_norm):
        module = slim.nets.resnet_v1
        blocks = [module.resnet_v1_block("block1", base_depth=2, num_units=2, stride=2)]
        with slim.arg_scope(module.resnet_arg_scope(weight_decay=0.0)):
            return module.resnet_v1(images, blocks, is_training=update_batch_norm, global_pool=False, scope="tiny")
    monkeypatch.setitem(NETWORKS, "tiny_resnet", NETWORKS["resnet_v1_50"]._replace(
        build=resnet, layouts={"slim": NETWORKS["resnet_v1_50"].layouts["slim"]}))
    monkeypatch.setattr(mobilenet_v2, "BLOCKS", [(1, 8, 1, 1), (2, 8, 2, 2)])
    monkeypatch.setattr(mobilenet_v2, "LAST_CHANNELS", 16)


def step(count, network, batch_norm, loss_scope="tower", values=None, loss="softmax"):
    """Return (loss, {variable: gradient}, values before, values after the update ops)."""
    devices = ["/cpu:{}".format(i) for i in range(count)]
    model = dict(MODEL, network=network, depth_multiplier=1.0 if network == "tiny_resnet" else 0.125)
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        built = towers.build_towers(
            tf.constant(IMAGES, tf.float32), {"label": tf.constant(LABELS)}, devices, model,
            [{"name": loss, "label": "label"}], {"label": 3}, loss_scope, batch_norm=batch_norm)
        variables = tf.global_variables()
        with open_session(devices) as session:
            session.run(tf.global_variables_initializer())
            for variable in variables:
                if values is not None:
                    variable.load(values[variable.op.name], session)
            before = session.run(variables)
            total, gradients, _ = session.run([built.loss, [g for g, _ in built.gradients], built.update_ops])
            names = [v.op.name for v in variables]
            return (total, dict(zip([v.op.name for _, v in built.gradients], gradients)),
                    dict(zip(names, before)), dict(zip(names, session.run(variables))))


def assert_same(left, right):
    assert set(left) == set(right) and left
    for name in left:
        scale = max(1.0, np.abs(left[name]).max())
        np.testing.assert_allclose(left[name] / scale, right[name] / scale, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("network, count, loss_scope, loss", [
    ("tiny_resnet", 2, "tower", "softmax"), ("mobilenet_v2", 2, "tower", "softmax"),
    ("small_cnn", 4, "global", "nt_xent")])
def test_towers_are_one_tower_with_the_whole_batch(network, count, loss_scope, loss):
    one, of_one, values, after_one = step(1, network, "tower", loss=loss)
    several, of_several, _, after_several = step(count, network, "sync", loss_scope, values, loss)
    assert several == pytest.approx(one, abs=1e-5)
    assert_same(of_one, of_several)
    assert_same(after_one, after_several)
    moved = [name for name in values if np.abs(values[name] - after_one[name]).max() > 1e-4]
    assert moved and all("moving_" in name for name in moved)


def test_without_it_they_are_not():
    _, of_one, values, after_one = step(1, "small_cnn", "tower")
    _, of_two, _, after_two = step(2, "small_cnn", "tower", values=values)
    assert max(np.abs(of_one[name] - of_two[name]).max() for name in of_one) > 1e-2
    assert max(np.abs(after_one[name] - after_two[name]).max() for name in after_one) > 1e-2


def test_moments_keep_their_digits_far_from_zero():
    values = np.random.RandomState(0).normal([1e4, -3.0], [0.1, 2.0], (3, 50, 2)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        parts = [(tf.reduce_mean(v, 0), tf.reduce_mean(tf.square(v - tf.reduce_mean(v, 0)), 0)) for v in values]
        found = session.run(sync_batch_norm.moments(*zip(*parts), count=150.0))
    whole = values.astype(np.float64).reshape(-1, 2)
    for value, expected in zip(found, (whole.mean(0), whole.var(0), whole.var(0, ddof=1))):
        np.testing.assert_allclose(value, expected, rtol=1e-3)


def test_a_network_without_batch_norm_is_told():
    with tf.Graph().as_default(), pytest.raises(InputError, match="sync but no batch norm of this network"):
        sync_batch_norm.synchronize(["tower_0/", "tower_1/"], ["/cpu:0", "/cpu:1"])
