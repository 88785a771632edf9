"""What a tensor depends on, and batch norm that keeps still there, in each family of networks."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.freezing import frozen_batch_norm, variables_behind


@pytest.mark.parametrize("resource", [False, True])
def test_variables_are_found_by_the_graph_and_not_by_their_names(resource):
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=resource):
        names = ["b1/w", "b10/w", "b2/w", "late"]
        first, other, second, _ = (tf.get_variable(name, [2]) for name in names)
        x = tf.nn.relu(tf.zeros([3, 2]) * first)
        y = x * second + tf.reduce_sum(other)  # b2 reads b10, too
        assert variables_behind(x) == {"b1/w"}
        assert variables_behind(y) == {"b1/w", "b10/w", "b2/w"}


def resnet_v2(images):
    with slim.arg_scope(slim.nets.resnet_v2.resnet_arg_scope(weight_decay=0.0)):
        return slim.nets.resnet_v2.resnet_v2(images, [slim.nets.resnet_v2.resnet_v2_block("block", 2, 2, 1)],
                                             is_training=True, global_pool=False, include_root_block=False, scope="net")


def resnet_v1(images):
    with slim.arg_scope(slim.nets.resnet_v1.resnet_arg_scope(weight_decay=0.0)):
        return slim.nets.resnet_v1.resnet_v1(images, [slim.nets.resnet_v1.resnet_v1_block("block", 2, 2, 1)],
                                             is_training=True, global_pool=False, include_root_block=False, scope="net")


def inception(images):
    with slim.arg_scope(slim.nets.inception.inception_v1_arg_scope(weight_decay=0.0)), \
            slim.arg_scope([slim.batch_norm], is_training=True):
        return slim.nets.inception.inception_v1_base(images, "Conv2d_2c_3x3", scope="net")


def averages_after_a_step(build, frozen):
    with tf.Graph().as_default(), tf.Session() as session:
        with frozen_batch_norm(frozen):
            net, _ = build(tf.constant(np.random.RandomState(0).rand(2, 8, 8, 3).astype(np.float32)))
        session.run(tf.global_variables_initializer())
        session.run([tf.get_collection(tf.GraphKeys.UPDATE_OPS), net])
        variables = [v for v in tf.global_variables() if v.op.name.endswith("moving_mean")]
        return dict(zip([v.op.name for v in variables], session.run(variables)))


@pytest.mark.parametrize("build, frozen", [
    (resnet_v2, "net/block/unit_1/bottleneck_v2/preact/moving_mean"),
    (resnet_v1, "net/block/unit_2/bottleneck_v1/conv2/BatchNorm/moving_mean"),
    (inception, "net/Conv2d_1a_7x7/BatchNorm/moving_mean")])
def test_only_the_frozen_averages_stay(build, frozen):
    averages = averages_after_a_step(build, {frozen})
    assert frozen in averages and len(averages) >= 3
    still = [name for name, value in averages.items() if not value.any()]
    assert still == [frozen]
    assert all(value.any() for value in averages_after_a_step(build, set()).values())


def test_batch_norm_is_as_before_afterwards():
    before = slim.batch_norm
    with pytest.raises(KeyError), frozen_batch_norm({"x"}):
        raise KeyError
    assert slim.batch_norm is before and slim.layers.batch_norm is before
