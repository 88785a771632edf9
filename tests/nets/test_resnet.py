import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.resnet import resnet_v1, resnet_v2

# Tower number -> (image size, training). One graph holds them all, as in training on several devices.
TOWERS = [(64, True), (224, False), (33, False), (224, True)]


@pytest.fixture(scope="module")
def towers():
    """Return (graph, [(feature map, end_points)] of each tower)."""
    with tf.Graph().as_default() as graph:
        built = []
        for number, (size, training) in enumerate(TOWERS):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True if number else None), \
                    tf.name_scope("tower_{}".format(number)):
                built.append(resnet_v1("resnet_v1_50", tf.placeholder(tf.float32, [None, size, size, 3]), training))
    return graph, built


def test_variables_are_those_of_the_public_checkpoint(towers, golden):
    # The list is that checkpoint's but for logits/weights and logits/biases: our network ends before the classifier.
    with towers[0].as_default():
        variables = tf.global_variables()
    names = [v.op.name for v in variables]
    assert len(names) == len(set(names)) == 265  # a second tower adds none
    assert {v.op.name: v.shape.as_list() for v in variables} == golden("resnet_v1_50")


def test_feature_maps(towers):
    # 224 / 32 = 7; 33 is halved, rounding up, five times: 17, 9, 5, 3, 2.
    assert [net.shape.as_list() for net, _ in towers[1]] == [
        [None, 2, 2, 2048], [None, 7, 7, 2048], [None, 2, 2, 2048], [None, 7, 7, 2048]]


def test_end_points_have_no_tower_in_their_keys(towers):
    for number, (net, end_points) in enumerate(towers[1]):
        assert {"resnet_v1_50/conv1", "resnet_v1_50/block1", "resnet_v1_50/block2", "resnet_v1_50/block3",
                "resnet_v1_50/block4", "resnet_v1_50/block4/unit_3/bottleneck_v1"} <= set(end_points)
        assert all(key.startswith("resnet_v1_50/") for key in end_points)
        assert all(t.name.startswith("tower_{}/resnet_v1_50/".format(number)) for t in end_points.values())
        assert end_points["resnet_v1_50/block4"] is net
    channels = [towers[1][0][1]["resnet_v1_50/block{}".format(i)].shape.as_list()[3] for i in (1, 2, 3, 4)]
    assert channels == [256, 512, 1024, 2048]


def test_update_ops_only_in_training(towers):
    # 53 batch norms (the first, 16 units of 3, 4 shortcuts), each with a mean and a variance.
    with towers[0].as_default():
        counts = [len(tf.get_collection(tf.GraphKeys.UPDATE_OPS, "tower_{}/".format(i))) for i in range(len(TOWERS))]
        assert counts == [106, 0, 0, 106]
        # Slim's own 1e-4 would sit in tower 0 alone.
        assert tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) == []


def test_the_feature_map_of_v2_is_normalised_and_rectified():
    with tf.Graph().as_default():
        net, end_points = resnet_v2("resnet_v2_50", tf.zeros([1, 33, 33, 3]), False)
        assert end_points["resnet_v2_50/postnorm"] is net and net.op.type == "Relu"
        assert end_points["resnet_v2_50/block4"].op.type in ("Add", "AddV2")
