"""From a feature map [B, H, W, C] to a vector [B, C]."""
from slim_retrieval.common.tensorflow import tf


def average(feature_map):
    """Return the mean over positions (SPoC; Babenko and Lempitsky, ICCV 2015). [B, H, W, C] -> [B, C]."""
    return tf.reduce_mean(feature_map, [1, 2])


def maximum(feature_map):
    """Return the maximum over positions (MAC; Tolias et al., ICLR 2016). [B, H, W, C] -> [B, C]."""
    return tf.reduce_max(feature_map, [1, 2])


def gem(feature_map, p=3.0, epsilon=1e-6):
    """Return (mean x^p)^(1/p), x >= epsilon (GeM; Radenovic et al., TPAMI 2018, eq. 3). [B, H, W, C] -> [B, C].

    The floor is inside the root: the gradient of x^(1/p) at 0 is infinite.
    """
    return tf.pow(tf.reduce_mean(tf.pow(tf.maximum(feature_map, epsilon), p), [1, 2]), 1.0 / p)


def flatten(feature_map):
    """Return all values of the map in one row. [B, H, W, C] -> [B, H*W*C]."""
    height, width, channels = (int(side) for side in feature_map.shape[1:])
    return tf.reshape(feature_map, [-1, height * width * channels])


POOLING = {"average": average, "max": maximum, "gem": gem, "none": flatten}
