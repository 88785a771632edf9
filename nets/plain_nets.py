"""VGG, AlexNet v2 and OverFeat, as rows of layers, with the variable and end point names of tf_slim.

tf_slim's own functions cannot end before the classifier, nor take images that are too small for `fc6`.
Simonyan and Zisserman, ICLR 2015; Krizhevsky, arXiv:1404.5997; Sermanet et al., ICLR 2014.
"""
from slim_retrieval.common.tensorflow import slim, tf


def _vgg(repeats):
    """Return the rows of a VGG with so many 3 x 3 convolutions in each of its five stages."""
    rows = []
    for stage, (count, channels) in enumerate(zip(repeats, [64, 128, 256, 512, 512]), start=1):
        rows += [("conv{0}/conv{0}_{1}".format(stage, i), channels, 3, 1, "SAME") for i in range(1, count + 1)]
        rows.append(("pool{}".format(stage), None, 2, 2, "VALID"))
    return rows


# (scope, channels or None for maximum pooling, kernel, stride, padding), up to the last feature map.
MAPS = {
    "vgg_a": _vgg([1, 1, 2, 2, 2]),
    "vgg_16": _vgg([2, 2, 3, 3, 3]),
    "vgg_19": _vgg([2, 2, 4, 4, 4]),
    "alexnet_v2": [
        ("conv1", 64, 11, 4, "VALID"), ("pool1", None, 3, 2, "VALID"), ("conv2", 192, 5, 1, "SAME"),
        ("pool2", None, 3, 2, "VALID"), ("conv3", 384, 3, 1, "SAME"), ("conv4", 384, 3, 1, "SAME"),
        ("conv5", 256, 3, 1, "SAME"), ("pool5", None, 3, 2, "VALID")],
    "overfeat": [
        ("conv1", 64, 11, 4, "VALID"), ("pool1", None, 2, 2, "VALID"), ("conv2", 256, 5, 1, "VALID"),
        ("pool2", None, 2, 2, "VALID"), ("conv3", 512, 3, 1, "SAME"), ("conv4", 1024, 3, 1, "SAME"),
        ("conv5", 1024, 3, 1, "SAME"), ("pool5", None, 2, 2, "VALID")],
}
_FC = [("fc6", 4096, 7, 1, "VALID"), ("fc7", 4096, 1, 1, "VALID")]
# The fully connected layers as convolutions; fc8, the classifier, is left out.
DENSE = {"vgg_a": _FC, "vgg_16": _FC, "vgg_19": _FC,
         "alexnet_v2": [("fc6", 4096, 5, 1, "VALID"), ("fc7", 4096, 1, 1, "VALID")],
         "overfeat": [("fc6", 3072, 6, 1, "VALID"), ("fc7", 4096, 1, 1, "VALID")]}


def plain_net(name, images, update_batch_norm):
    """Build a network without its classifier; return (feature map, end_points).

    There is no batch norm to update, and no dropout.

    Args:
      name: a key of MAPS; the scope of all variables.
      images: float32 [B, H, W, 3], means subtracted.

    Returns:
      feature map, `pool5`: float32 [B, H/32, W/32, 512] for VGG; end_points such as vgg_16/conv5/conv5_3 and, where
      the map is large enough for their kernel, vgg_16/fc6 and vgg_16/fc7.
    """
    end_points = {}
    with tf.variable_scope(name, name, [images]), \
            slim.arg_scope([slim.conv2d], weights_initializer=slim.variance_scaling_initializer()):
        feature_map = _layers(images, MAPS[name], name, end_points)
        if _has_dense(feature_map, name):
            _layers(feature_map, DENSE[name], name, end_points)
    return feature_map, end_points


def _has_dense(feature_map, name):
    """Return whether fc6 fits into the map; where variables are reused (another scale), whether it was built."""
    sides = feature_map.shape.as_list()[1:3]
    fits = None not in sides and min(sides) >= DENSE[name][0][2]
    reused = tf.get_variable_scope().reuse is True
    return fits and (not reused or name + "/fc6/weights" in {v.op.name for v in tf.global_variables()})


def _layers(net, rows, name, end_points):
    for scope, channels, kernel, stride, padding in rows:
        if channels is None:
            net = slim.max_pool2d(net, kernel, stride=stride, padding=padding, scope=scope)
        else:
            net = slim.conv2d(net, channels, kernel, stride=stride, padding=padding, scope=scope)
        end_points["{}/{}".format(name, scope)] = net
    return net
