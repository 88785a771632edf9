"""MobileNetV2 with the variable and end point names of tensorflow/models' slim checkpoints.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.

End points: `layer_1` (the first convolution), `layer_2` ... `layer_18` (the inverted residuals `expanded_conv`,
`expanded_conv_1` ... `expanded_conv_16`, each also as `layer_N/output`, `layer_N/depthwise_output` and, where
there is an expansion, `layer_N/expansion_output`) and `layer_19` (the last 1 x 1 convolution).

Layout `torchvision` pads one pixel all round where the stride is 2 (SAME, at an even side, pads below and right alone)
and has batch norm's epsilon 1e-5 rather than 1e-3. Keras' graph is slim's.
"""
from slim_retrieval.common.tensorflow import slim, tf

# (expansion, channels, blocks, stride of the first block): rows of table 2.
BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
LAST_CHANNELS = 1280


def mobilenet_v2(images, update_batch_norm, depth_multiplier=1.0, layout="slim"):
    """Build MobileNetV2 without its classifier; return (feature map, end_points).

    Args:
      images: float32 [B, H, W, 3] in -1..1.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.
      depth_multiplier: width; 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 have public checkpoints.
      layout: whose padding and epsilon: slim, torchvision or keras.

    Returns:
      feature map float32 [B, H/32, W/32, 1280 * max(1, depth_multiplier)] (sides rounded up); end_points.
    """
    end_points = {}
    symmetric = layout == "torchvision"
    with tf.variable_scope("MobilenetV2", "MobilenetV2", [images]), \
            slim.arg_scope(_arg_scope(update_batch_norm, 1e-5 if symmetric else 1e-3)):
        net, padding = _pad(images, 2, symmetric)
        net = slim.conv2d(net, divisible(32 * depth_multiplier), 3, stride=2, padding=padding, scope="Conv")
        end_points["layer_1"] = net
        index = 0
        for expansion, channels, blocks, stride in BLOCKS:
            for block in range(blocks):
                net = _inverted_residual(net, expansion, divisible(channels * depth_multiplier),
                                         stride if block == 0 else 1, index, symmetric, end_points)
                index += 1
        # Narrow networks keep the full last layer, as their public checkpoints do.
        net = slim.conv2d(net, divisible(LAST_CHANNELS * max(1.0, depth_multiplier)), 1, scope="Conv_1")
        end_points["layer_{}".format(index + 2)] = net
    return net, end_points


def divisible(channels, by=8):
    """Return the multiple of 8 nearest to `channels`, never under 90 % of it."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


def _inverted_residual(inputs, expansion, channels, stride, index, symmetric, end_points):
    layer = "layer_{}".format(index + 2)
    inputs_channels = int(inputs.shape[3])
    net = inputs
    with tf.variable_scope("expanded_conv" + ("_{}".format(index) if index else "")):
        if expansion > 1:
            net = slim.conv2d(net, divisible(inputs_channels * expansion), 1, scope="expand")
            end_points[layer + "/expansion_output"] = tf.identity(net, name="expansion_output")
        net, padding = _pad(net, stride, symmetric)
        net = slim.separable_conv2d(net, None, 3, depth_multiplier=1, stride=stride, padding=padding,
                                    scope="depthwise")
        end_points[layer + "/depthwise_output"] = tf.identity(net, name="depthwise_output")
        net = slim.conv2d(net, channels, 1, activation_fn=None, scope="project")
        if stride == 1 and inputs_channels == channels:
            net += inputs
        net = tf.identity(net, name="output")
    end_points[layer + "/output"] = net
    end_points[layer] = net
    return net


def _pad(net, stride, symmetric):
    """Return (map, padding) for a 3 x 3 convolution of this stride."""
    if symmetric and stride > 1:
        return tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]]), "VALID"
    return net, "SAME"


def _arg_scope(update_batch_norm, epsilon):
    """Relu6 and batch norm everywhere; weight decay is added by the training loop, once."""
    batch_norm = {"is_training": update_batch_norm, "center": True, "scale": True, "decay": 0.997,
                  "epsilon": epsilon, "fused": True}
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], activation_fn=tf.nn.relu6, padding="SAME",
                        normalizer_fn=slim.batch_norm, normalizer_params=batch_norm,
                        weights_initializer=slim.variance_scaling_initializer()) as scope:
        return scope
