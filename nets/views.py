"""Looking at an image several times, at several scales and mirrored, for one feature."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf

ONE_VIEW = {"scales": [1.0], "flip": False, "aggregate": "mean"}


def sides(image_size, views):
    """Return the side in pixels of each scale; InputError where there is none."""
    if not views["scales"]:
        raise InputError("extraction.scales is empty; give at least one, such as [1]")
    return [max(1, int(round(scale * image_size))) for scale in views["scales"]]


def largest_side(image_size, views):
    """Return the side that images must have: smaller ones are made from it."""
    return max(sides(image_size, views))


def view_images(images, image_size, views):
    """Return [images [B, h, w, 3]] for each scale, each followed by its mirror image where `flip` says so.

    Images [B, S, S, 3] are made smaller to `sides`. Height and width may be unknown: then those of an image are its
    own at the largest scale.
    """
    found, full = [], largest_side(image_size, views)
    for side in sides(image_size, views):
        shape = [side, side]
        if images.shape.as_list()[1] is None:
            shape = [tf.cast(tf.round(tf.cast(size, tf.float32) * (side / float(full))), tf.int32)
                     for size in tf.unstack(tf.shape(images)[1:3])]
        resized = images if side == full else resize(images, *shape)
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


def resize(images, height, width):
    """Return `images` [B, H, W, 3] as [B, height, width, 3]: bilinear with antialiasing, as Pillow's.

    By two products with matrices: tf.image.resize of TensorFlow 1.15 has no antialiasing. Sizes may be tensors.
    """
    old = [size if known is None else known
           for size, known in zip(tf.unstack(tf.shape(images)[1:3]), images.shape.as_list()[1:3])]
    rows = tf.tensordot(_weights(old[0], height), images, [[1], [1]])  # [height, B, W, 3]
    columns = tf.tensordot(_weights(old[1], width), rows, [[1], [2]])  # [width, height, B, 3]
    result = tf.transpose(columns, [2, 1, 0, 3])
    result.set_shape([images.shape[0]] + [size if isinstance(size, int) else None for size in (height, width)] + [3])
    return result


def resize_weights(old, new):
    """Return float64 [new, old]: how much each old pixel counts in each new one (a triangle, wider when shrinking)."""
    scale = max(1.0, old / float(new))
    centres = (np.arange(new) + 0.5) * old / float(new)
    weights = np.maximum(0, 1 - np.abs(np.arange(old)[None] + 0.5 - centres[:, None]) / scale)
    return weights / weights.sum(axis=1, keepdims=True)


def _weights(old, new):
    """Return `resize_weights` as a float32 tensor: a constant where both sizes are known."""
    if isinstance(old, int) and isinstance(new, int):
        return tf.constant(resize_weights(old, new), tf.float32)
    step = tf.cast(old, tf.float32) / tf.cast(new, tf.float32)
    centres = (tf.cast(tf.range(new), tf.float32) + 0.5) * step
    distances = tf.abs(tf.cast(tf.range(old), tf.float32)[None] + 0.5 - centres[:, None])
    weights = tf.maximum(0.0, 1.0 - distances / tf.maximum(1.0, step))
    return weights / tf.reduce_sum(weights, 1, keepdims=True)
