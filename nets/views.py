"""Looking at an image several times, at several scales and mirrored, for one feature."""
import numpy as np

from slim_retrieval.common.tensorflow import tf

ONE_VIEW = {"scales": [1.0], "flip": False, "aggregate": "mean"}


def sides(image_size, views):
    """Return the side in pixels of each scale."""
    return [max(1, int(round(scale * image_size))) for scale in views["scales"]]


def largest_side(image_size, views):
    """Return the side that images must have: smaller ones are made from it."""
    return max(sides(image_size, views))


def view_images(images, image_size, views):
    """Return [images [B, s, s, 3]] for each scale, each followed by its mirror image where `flip` says so."""
    found = []
    for side in sides(image_size, views):
        resized = images if side == int(images.shape[1]) else resize(images, side)
        found += [resized, tf.reverse(resized, [2])] if views["flip"] else [resized]
    return found


def aggregate(vectors, how):
    """Return one [B, d] of the views' vectors: their mean, their largest values, or all of them side by side.

    Each is normalised first, so that no scale counts more for its length; a single view stays as it is.
    """
    if len(vectors) == 1:
        return vectors[0]
    rows = [v * tf.rsqrt(tf.maximum(tf.reduce_sum(tf.square(v), 1, keepdims=True), 1e-12)) for v in vectors]
    if how == "concatenate":
        return tf.concat(rows, 1)
    return tf.reduce_max(tf.stack(rows), 0) if how == "max" else tf.add_n(rows) / float(len(rows))


def resize(images, side):
    """Return `images` [B, S, S, 3] as [B, side, side, 3]: bilinear with antialiasing, as Pillow's.

    By two products with constant matrices: tf.image.resize of TensorFlow 1.15 has no antialiasing.
    """
    weights = tf.constant(resize_weights(int(images.shape[1]), side), tf.float32)
    rows = tf.tensordot(weights, images, [[1], [1]])  # [side, B, S, 3]
    result = tf.transpose(tf.tensordot(weights, rows, [[1], [2]]), [2, 1, 0, 3])  # from [side, side, B, 3]
    result.set_shape([images.shape[0], side, side, 3])
    return result


def resize_weights(old, new):
    """Return float64 [new, old]: how much each old pixel counts in each new one (a triangle, wider when shrinking)."""
    scale = max(1.0, old / float(new))
    centres = (np.arange(new) + 0.5) * old / float(new)
    weights = np.maximum(0, 1 - np.abs(np.arange(old)[None] + 0.5 - centres[:, None]) / scale)
    return weights / weights.sum(axis=1, keepdims=True)
