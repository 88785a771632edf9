"""ResNet v1 as torchvision and Keras build it: the variables are slim's, strides and padding are not.

    layout        a block's stride of 2 stands     first pooling       epsilon     trained by
    slim          in its last unit, 3 x 3          SAME                1e-5        tf_slim
    torchvision   in the next one's first, 3 x 3   one pixel all round 1e-5        torchvision.models.resnet
    keras         in the next one's first, 1 x 1   one pixel all round 1.001e-5    tf.keras.applications.resnet

At an even side SAME pads below and right alone, so the pooling differs too. Weights of one layout run in another
without any error and give worse features: the layout is stored with every checkpoint.
"""
from slim_retrieval.common.tensorflow import slim, tf

# Units of each block: table 1 of the paper.
UNITS = {"resnet_v1_50": [3, 4, 6, 3], "resnet_v1_101": [3, 4, 23, 3], "resnet_v1_152": [3, 8, 36, 3]}
EPSILON = {"torchvision": 1e-5, "keras": 1.001e-5}


def resnet_v1_of_layout(name, images, update_batch_norm, layout):
    """Build ResNet v1 in the layout `torchvision` or `keras`; as `resnet_v1` in nets/resnet.py."""
    scope = slim.nets.resnet_v1.resnet_arg_scope(weight_decay=0.0, batch_norm_epsilon=EPSILON[layout])
    end_points = {}
    with tf.variable_scope(name, name, [images]), slim.arg_scope(scope), \
            slim.arg_scope([slim.batch_norm], is_training=update_batch_norm):
        net = slim.nets.resnet_utils.conv2d_same(images, 64, 7, stride=2, scope="conv1")
        end_points[name + "/conv1"] = net
        # After ReLU nothing is below zero, so that padding with zeros is padding with minus infinity.
        net = slim.max_pool2d(_pad(net), 3, stride=2, padding="VALID", scope="pool1")
        for block, units in enumerate(UNITS[name], start=1):
            with tf.variable_scope("block{}".format(block)):
                for unit in range(1, units + 1):
                    stride = 2 if unit == 1 and block > 1 else 1
                    net = _unit(net, 64 * 2 ** (block - 1), stride, layout, "unit_{}".format(unit))
                    end_points["{}/block{}/unit_{}/bottleneck_v1".format(name, block, unit)] = net
            end_points["{}/block{}".format(name, block)] = net
    return net, end_points


def _unit(inputs, width, stride, layout, scope):
    """Return a bottleneck of 1 x 1, 3 x 3 and 1 x 1 convolutions, added to its input. The last has 4 * width channels.
    """
    first, second = (1, stride) if layout == "torchvision" else (stride, 1)
    with tf.variable_scope(scope), tf.variable_scope("bottleneck_v1"):
        shortcut = inputs
        if int(inputs.shape[3]) != 4 * width:
            shortcut = slim.conv2d(inputs, 4 * width, 1, stride=stride, activation_fn=None, scope="shortcut")
        net = slim.conv2d(inputs, width, 1, stride=first, scope="conv1")
        net = slim.nets.resnet_utils.conv2d_same(net, width, 3, stride=second, scope="conv2")
        net = slim.conv2d(net, 4 * width, 1, activation_fn=None, scope="conv3")
        return tf.nn.relu(shortcut + net)


def _pad(net):
    """Return the map with one pixel of zeros on each side."""
    return tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]])
