"""ResNet v1 and v2 of tf_slim, with the variable names of slim's public checkpoints.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; "Identity Mappings in Deep Residual Networks",
ECCV 2016. End points: `resnet_v1_50/conv1`, `resnet_v1_50/block1` ... `block4`, each unit and each convolution.
"""
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.resnet_layouts import resnet_v1_of_layout


def resnet_v1(name, images, update_batch_norm, layout="slim"):
    """Build ResNet v1 without its classifier; return (feature map, end_points).

    Args:
      name: resnet_v1_50, resnet_v1_101 or resnet_v1_152: the scope of all variables.
      images: float32 [B, H, W, 3], means subtracted.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.
      layout: whose strides and padding: slim, torchvision or keras (nets/resnet_layouts.py).

    Returns:
      feature map float32 [B, H/32, W/32, 2048] (sides rounded up); end_points such as resnet_v1_50/block4.
    """
    if layout != "slim":
        return resnet_v1_of_layout(name, images, update_batch_norm, layout)
    return _of_slim(slim.nets.resnet_v1, name, images, update_batch_norm)


def resnet_v2(name, images, update_batch_norm):
    """Build ResNet v2 without its classifier; as `resnet_v1`, but for images in -1..1.

    The feature map is `<name>/postnorm`: block4 itself has neither batch norm nor ReLU.
    """
    net, end_points = _of_slim(slim.nets.resnet_v2, name, images, update_batch_norm)
    return net, dict(end_points, **{name + "/postnorm": net})


def _of_slim(module, name, images, update_batch_norm):
    # Weight decay is added once by the training loop, after averaging; here it would sit in tower 0 alone.
    with slim.arg_scope(module.resnet_arg_scope(weight_decay=0.0)):
        net, end_points = getattr(module, name)(images, num_classes=None, is_training=update_batch_norm,
                                                global_pool=False)
    return net, {key: tensor for key, tensor in end_points.items() if isinstance(tensor, tf.Tensor)}
