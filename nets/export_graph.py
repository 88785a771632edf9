"""The graph of an exported network: pixels in, normalised (and whitened) features out; and what to compare it with."""
import re

import numpy as np

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.frozen import connect
from slim_retrieval.nets.whitening import apply_whitening


def sample_images(side):
    """Return float32 [4, side, side, 3] in 0..255 to compare with: noise, and patches such as photos have."""
    random = np.random.RandomState(0)
    patches = random.randint(0, 256, (3, 8, 8, 3))
    rows = np.arange(side) * 8 // side
    noise = random.randint(0, 256, (4, side, side, 3))
    return np.concatenate([noise[:1], (3 * patches[:, rows][:, :, rows] + noise[1:]) // 4]).astype(np.float32)


def expected_features(features, whitening):
    """Return what the export must give, [B, d] for each end point, from the session's features, in NumPy."""
    if whitening is not None:
        features = [apply_whitening(features[0], *whitening[:2])] + list(features[1:])
    return [rows / np.maximum(np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True), 1e-12)
            for rows in features]


def build(frozen, shape, end_points, whitening):
    """Build the whole network, pixels to features, in the current graph; return (placeholder, outputs).

    Args:
      frozen: Frozen, with an output for each end point.
      shape: height, width and channels of an image.
      end_points: their names: outputs are `feature`, then `feature_<name>`.
      whitening: (mean [d], projection [d, k], ...) of the first, or None.
    """
    images = tf.placeholder(tf.float32, (None,) + shape, "images")
    outputs = []
    for number, features in enumerate(connect(frozen, images, "network")):
        features = _normalised(features)
        if number == 0 and whitening is not None:
            mean, projection = (tf.constant(array, tf.float32) for array in whitening[:2])
            features = _normalised(tf.matmul(features - mean, projection))
        name = "feature" + ("_" + re.sub(r"[^A-Za-z0-9_]+", "_", end_points[number]) if number else "")
        outputs.append(tf.identity(features, name))
    return images, outputs


def _normalised(rows):
    return rows * tf.rsqrt(tf.maximum(tf.reduce_sum(tf.square(rows), 1, keepdims=True), 1e-24))
