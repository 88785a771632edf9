"""ResNet v1 of tf_slim, with the variable names of slim's public checkpoints.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import slim


def resnet_v1_50(images, update_batch_norm, depth_multiplier=1.0):
    """Build ResNet-50 v1 without its classifier; return (feature map, end_points).

    Args:
      images: float32 [B, H, W, 3], means subtracted.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.
      depth_multiplier: must be 1; slim's ResNet has one width.

    Returns:
      feature map float32 [B, H/32, W/32, 2048] (sides rounded up); end_points such as resnet_v1_50/block4.

    Raises:
      InputError: another width.
    """
    if depth_multiplier != 1.0:
        raise InputError("model.depth_multiplier is {}, but resnet_v1_50 has one width; set it to 1".format(
            depth_multiplier))
    # Weight decay is added once by the training loop, after averaging; here it would sit in tower 0 alone.
    with slim.arg_scope(slim.nets.resnet_v1.resnet_arg_scope(weight_decay=0.0)):
        return slim.nets.resnet_v1.resnet_v1_50(images, num_classes=None, is_training=update_batch_norm,
                                                global_pool=False)
