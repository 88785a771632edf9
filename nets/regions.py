"""R-MAC: maxima of regions (Tolias, Sicre and Jegou, "Particular object retrieval with integral max-pooling of CNN
activations", ICLR 2016, section 3)."""
import numpy as np

from slim_retrieval.common.tensorflow import tf

LEVELS, OVERLAP = 3, 0.4
EPSILON = 1e-12


def rmac(feature_map):
    """Return the sum of the regions' maxima, each divided by its length. [B, H, W, C] -> [B, C].

    Where H or W is unknown the regions are laid out anew for every batch, in Python: such a graph runs in its own
    process only.
    """
    height, width = feature_map.shape.as_list()[1:3]
    if height is None or width is None:
        return _any_size(feature_map)
    return tf.add_n([_maximum(feature_map, *region) for region in regions(height, width)])


def _any_size(feature_map):
    shape = tf.shape(feature_map)
    found = tf.numpy_function(lambda height, width: np.array(regions(height, width), np.int32), [shape[1], shape[2]],
                              tf.int32)
    found.set_shape([None, 3])
    total = tf.foldl(lambda total, region: total + _maximum(feature_map, *tf.unstack(region)), found,
                     tf.zeros_like(feature_map[:, 0, 0]))
    total.set_shape([feature_map.shape[0], feature_map.shape[3]])
    return total


def _maximum(feature_map, top, left, side):
    """Return the maxima [B, C] of a region, divided by their length."""
    vector = tf.reduce_max(feature_map[:, top:top + side, left:left + side], [1, 2])
    return vector * tf.rsqrt(tf.reduce_sum(tf.square(vector), 1, keepdims=True) + EPSILON)


def regions(height, width, levels=LEVELS):
    """Return [(top, left, side)] of the square regions.

    Level l has squares of side 2 * min(H, W) / (l + 1), l along the shorter side and l + m - 1 along the longer one,
    evenly spaced; m is the number of largest squares at which neighbours overlap by nearest to 40 %.
    """
    shorter = min(height, width)
    more = _squares(max(height, width), shorter) - 1
    found = []
    for level in range(1, levels + 1):
        side = max(1, 2 * shorter // (level + 1))
        rows = _starts(height, side, level + (more if height > width else 0))
        columns = _starts(width, side, level + (more if width > height else 0))
        found += [(top, left, side) for top in rows for left in columns]
    return found


def _squares(longer, shorter):
    """Return how many squares of the shorter side lie along the longer one: 1, or 2 to 7."""
    if longer == shorter:
        return 1

    def overlap(count):
        return (shorter - (longer - shorter) / (count - 1.0)) / shorter
    return min(range(2, 8), key=lambda count: abs(overlap(count) - OVERLAP))


def _starts(length, side, count):
    """Return the first positions of `count` intervals of `side`, evenly spaced from 0 to the end."""
    step = (length - side) / (count - 1.0) if count > 1 else 0.0
    return [int(i * step) for i in range(count)]
