"""Inception v1, v2 and v3 of tf_slim, with the variable names of slim's public checkpoints.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; Ioffe and Szegedy, "Batch Normalization", ICML 2015;
Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
End points: `Conv2d_1a_7x7` (v3: `Conv2d_1a_3x3`) ... `Mixed_5c` (v3: `Mixed_7c`).
"""
from slim_retrieval.common.tensorflow import slim, tf

SCOPES = {"inception_v1": "InceptionV1", "inception_v2": "InceptionV2", "inception_v3": "InceptionV3"}


def inception(name, images, update_batch_norm, depth_multiplier=None):
    """Build an Inception network without its classifiers; return (feature map, end_points).

    Args:
      name: inception_v1, inception_v2 or inception_v3.
      images: float32 [B, H, W, 3] in -1..1; for inception_v3 at least 75 pixels.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.
      depth_multiplier: width of v2 and v3 (no layer below 16 channels); v1 has one width.

    Returns:
      feature map float32 [B, H/32, W/32, 1024] (v3: 2048, sides (H - 43) / 32 rounded down); end_points.
    """
    widths = {} if depth_multiplier is None else {"depth_multiplier": depth_multiplier}
    arg_scope = getattr(slim.nets.inception, name + "_arg_scope")(weight_decay=0.0)
    # The scope is opened twice, as by slim's whole network, so that tensors have the names that they have there.
    with tf.variable_scope(SCOPES[name], SCOPES[name], [images]) as scope, slim.arg_scope(arg_scope), \
            slim.arg_scope([slim.batch_norm], is_training=update_batch_norm):
        return getattr(slim.nets.inception, name + "_base")(images, scope=scope, **widths)
