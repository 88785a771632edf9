"""From a feature map [B, H, W, C] to a vector [B, C]; its length is of no account: features are normalised later."""
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.regions import rmac

EPSILON = 1e-6
# The learned power is kept above: a power near 0 has no gradient to come back by.
SMALLEST_POWER = 0.1


def average(feature_map):
    """Return the mean over positions (SPoC; Babenko and Lempitsky, ICCV 2015). [B, H, W, C] -> [B, C]."""
    return tf.reduce_mean(feature_map, [1, 2])


def maximum(feature_map):
    """Return the maximum over positions (MAC; Tolias et al., ICLR 2016). [B, H, W, C] -> [B, C]."""
    return tf.reduce_max(feature_map, [1, 2])


def gem(feature_map, p=3.0):
    """Return (mean x^p)^(1/p), x >= EPSILON (GeM; Radenovic et al., TPAMI 2018, eq. 3). [B, H, W, C] -> [B, C].

    The floor is inside the root: the gradient of x^(1/p) at 0 is infinite.
    """
    return tf.pow(tf.reduce_mean(tf.pow(tf.maximum(feature_map, EPSILON), p), [1, 2]), 1.0 / p)


def learned_gem(feature_map, p=3.0):
    """Return `gem` with one power for all channels that is trained with the network, from `p` on: `pooling/p`."""
    with tf.variable_scope("pooling", reuse=tf.AUTO_REUSE):
        power = slim.model_variable("p", [], initializer=tf.constant_initializer(p))
    return gem(feature_map, tf.maximum(power, SMALLEST_POWER))


def crow(feature_map):
    """Return the cross-dimensionally weighted sum (CroW; Kalantidis et al., ECCVW 2016). [B, H, W, C] -> [B, C].

    Positions weigh by the root of their share of all activation (a = 2, b = 2), channels by the logarithm of how
    seldom they are active. The weights are taken as constants: no gradient goes through them.
    """
    total = tf.maximum(tf.reduce_sum(feature_map, 3, keepdims=True), 0.0)
    length = tf.sqrt(tf.reduce_sum(tf.square(total), [1, 2], keepdims=True) + EPSILON)
    positions = tf.stop_gradient(tf.sqrt(total / length))
    active = tf.reduce_mean(tf.cast(tf.not_equal(feature_map, 0), tf.float32), [1, 2])
    channels = int(feature_map.shape[3])
    rare = tf.log((channels * EPSILON + tf.reduce_sum(active, 1, keepdims=True)) / (EPSILON + active))
    return tf.reduce_sum(feature_map * positions, [1, 2]) * tf.stop_gradient(rare)


def flatten(feature_map):
    """Return all values of the map in one row. [B, H, W, C] -> [B, H*W*C]."""
    height, width, channels = (int(side) for side in feature_map.shape[1:])
    return tf.reshape(feature_map, [-1, height * width * channels])


POOLING = {"average": average, "max": maximum, "gem": gem, "gem_learned": learned_gem, "rmac": rmac, "crow": crow,
           "none": flatten}
WITH_POWER = ["gem", "gem_learned"]
