"""A small plain network for small images (28-64 px) on a CPU: three stages of 3 x 3 convolutions.

The layers are those of VGG (Simonyan and Zisserman, 2015) with batch norm; it trains in minutes on two cores.
"""
from slim_retrieval.common.tensorflow import slim, tf

# Channels of each stage's layers. One thin layer at full resolution: there a layer costs most and sees least.
STAGES = [[24], [48, 48], [96, 128]]


def small_cnn(images, update_batch_norm, depth_multiplier=1.0):
    """Build the network; return (feature map, end_points).

    Args:
      images: float32 [B, H, W, 3] in -1..1.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.
      depth_multiplier: factor of every width.

    Returns:
      feature map float32 [B, H/4, W/4, 128 * depth_multiplier] (sides rounded down); end_points stage_1, stage_2,
      stage_3.
    """
    # A short training needs a short memory: with slim's 0.999 the averages would still be near their start.
    batch_norm = {"is_training": update_batch_norm, "decay": 0.95, "scale": True, "epsilon": 1e-3, "fused": True}
    end_points = {}
    with tf.variable_scope("small_cnn", "small_cnn", [images]), \
            slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=batch_norm,
                           weights_initializer=slim.variance_scaling_initializer()):
        net = images
        for stage, layers in enumerate(STAGES, start=1):
            if stage > 1:
                net = slim.max_pool2d(net, 2, scope="pool_{}".format(stage))
            for layer, channels in enumerate(layers, start=1):
                width = max(1, int(round(channels * depth_multiplier)))
                net = slim.conv2d(net, width, 3, scope="conv_{}_{}".format(stage, layer))
            end_points["stage_{}".format(stage)] = net
    return net, end_points
