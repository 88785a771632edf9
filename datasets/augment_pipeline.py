"""What a training image goes through after loading, in the graph: each draw is a function of (seed, step, place in the
batch), and with an option off its step is not there.

In this order: padding crop and flip, rotation, brightness, contrast, saturation, hue, grey, erasing.
"""
import math

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.augmentation import OFF

_LUMA = [0.299, 0.587, 0.114]  # ITU-R BT.601: what grey a colour is
# One stream of random numbers each, so that switching one on changes no other.
_CROP, _ROTATION, _COLOUR, _GREY, _ERASE, _NOISE = range(6)


def augment(images, step, crop_padding, flip, seed, options=None, first_image=0, batch_size=None):
    """Return `images` [B, S, S, 3] as float32, 0 to 255, changed at random as the options say.

    Args:
      images: uint8 or float32, S known.
      step: int64 scalar.
      crop_padding, flip: as in DataConfig.
      options: dict of AugmentationConfig; None: all off. `crop_area` and `crop_aspect` are the loader's.
      first_image, batch_size: the images may be a part of a batch of this size, from this place on.
    """
    options, draw = options or OFF, Draws(seed, step, tf.shape(images)[0], first_image, batch_size)
    images = crop_and_flip(images, draw, crop_padding, flip)
    if options["rotation"]:
        images = rotate(images, draw(_ROTATION, 1)[:, 0], options["rotation"])
    if any(options[name] for name in ("brightness", "contrast", "saturation", "hue")):
        images = jitter(images, draw(_COLOUR, 4), options)
    if options["grayscale"]:
        images = tf.where(draw(_GREY, 1)[:, 0] < options["grayscale"], grey(images), images)
    if options["erasing"]:
        images = erase(images, draw(_ERASE, 5), lambda: draw(_NOISE, *images.shape.as_list()[1:]), options)
    return images


class Draws:
    """Uniform random numbers from 0 up to 1 of one step."""

    def __init__(self, seed, step, count, first=0, batch=None):
        """Those of the `count` images from place `first` on of a batch of `batch` (None: of `count`)."""
        self._seed, self._step, self._count = seed, tf.cast(step, tf.int64), count
        self._first, self._batch = first, batch or count

    def __call__(self, stream, *shape):
        """Return float32 [count, ...]."""
        seed = tf.cast(self._seed, tf.int64) + (stream << 32)  # a seed is below 2^31
        whole = tf.random.stateless_uniform((self._batch,) + shape, seed=tf.stack([seed, self._step]))
        return whole[self._first:self._first + self._count]


def crop_and_flip(images, draw, crop_padding, flip):
    """Return float32 images, each cropped from itself with a mirrored margin, and mirrored left to right or not.

    The margin mirrors the image without repeating its edge (np.pad's mode "reflect").
    """
    batch, size = tf.shape(images)[0], int(images.shape[1])
    uniform = draw(_CROP, 3)
    # Below 1 even after rounding, so that the offsets are 0 to 2 * crop_padding.
    offsets = tf.cast(uniform[:, :2] * (2 * crop_padding + 1), tf.int32) - crop_padding
    rows = _reflect(offsets[:, :1] + tf.range(size)[None, :], size)
    columns = _reflect(offsets[:, 1:] + tf.range(size)[None, :], size)
    if flip:
        columns = tf.where(tf.tile(uniform[:, 2:] < 0.5, [1, size]), tf.reverse(columns, [1]), columns)
    if crop_padding or flip:
        images = tf.gather(images, rows, axis=1, batch_dims=1)
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    return tf.cast(tf.reshape(images, [batch, size, size, 3]), tf.float32)


def rotate(images, uniform, degrees):
    """Return images turned about their centre by an angle uniform in [-degrees, degrees], bilinear.

    What lies beyond the edge is mirrored in.
    """
    size = int(images.shape[1])
    angles = ((2 * uniform - 1) * (math.pi * degrees / 180))[:, None, None]
    across = tf.range(size, dtype=tf.float32)[None, None, :] - (size - 1) / 2
    down = tf.transpose(across, [0, 2, 1])
    x = tf.cos(angles) * across - tf.sin(angles) * down + (size - 1) / 2  # [B, S, S]: where a pixel comes from
    y = tf.sin(angles) * across + tf.cos(angles) * down + (size - 1) / 2
    left, top = tf.floor(x), tf.floor(y)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]

    def pixels(rows, columns):
        rows, columns = (_reflect(tf.cast(places, tf.int32), size) for places in (rows, columns))
        first = tf.range(tf.shape(images)[0])[:, None, None] * size * size
        return tf.gather(tf.reshape(images, [-1, 3]), first + rows * size + columns)

    upper = (1 - right_share) * pixels(top, left) + right_share * pixels(top, left + 1)
    lower = (1 - right_share) * pixels(top + 1, left) + right_share * pixels(top + 1, left + 1)
    return tf.reshape((1 - bottom_share) * upper + bottom_share * lower, [-1, size, size, 3])


def jitter(images, uniform, options):
    """Return images with other brightness, contrast, saturation and hue, each clipped to 0 ... 255, in this order.

    With f uniform in [1 - range, 1 + range] (not below 0): brightness f x; contrast f x + (1 - f) mean of the image's
    grey; saturation f x + (1 - f) grey; hue: HSV's h + a part of the circle uniform in [-range, range].

    Args:
      uniform: [B, 4].
    """
    def factor(number, name):
        return tf.maximum(0.0, 1 + options[name] * (2 * uniform[:, number] - 1))[:, None, None, None]

    if options["brightness"]:
        images = _clip(images * factor(0, "brightness"))
    if options["contrast"]:
        mean = tf.reduce_mean(grey(images), axis=[1, 2, 3], keepdims=True)
        images = _clip(mean + factor(1, "contrast") * (images - mean))
    if options["saturation"]:
        plain = grey(images)
        images = _clip(plain + factor(2, "saturation") * (images - plain))
    if options["hue"]:
        turn = options["hue"] * (2 * uniform[:, 3] - 1)
        hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv(images / 255), axis=3)
        turned = tf.math.floormod(hue + turn[:, None, None], 1.0)
        images = _clip(255 * tf.image.hsv_to_rgb(tf.stack([turned, saturation, value], axis=3)))
    return images


def grey(images):
    """Return images without colour, in three equal channels."""
    return tf.tile(tf.reduce_sum(images * tf.constant(_LUMA), axis=3, keepdims=True), [1, 1, 1, 3])


def erase(images, uniform, noise, options):
    """Return images of which some have a rectangle replaced by noise (Zhong et al. 2020, section 3).

    Args:
      uniform: [B, 5]: whether, area, aspect, top, left.
      noise: function without arguments that gives uniform numbers in the shape of `images`.
      options: erasing, a probability; erasing_area and erasing_aspect, [from, to] of the rectangle's share of the
        image and of its height over width (log-uniform; an aspect that does not fit is not drawn).
    """
    size = int(images.shape[1])
    (area_low, area_high), (low, high) = options["erasing_area"], options["erasing_aspect"]
    area = area_low + (area_high - area_low) * uniform[:, 1]
    low, high = (tf.clip_by_value(tf.fill(tf.shape(area), float(end)), area, 1 / area) for end in (low, high))
    ratio = tf.exp(tf.log(low) + (tf.log(high) - tf.log(low)) * uniform[:, 2])
    sides = tf.minimum(tf.sqrt(tf.stack([area * ratio, area / ratio], axis=1)), 1.0)  # height, width
    pixels = tf.maximum(tf.round(sides * size), 1)
    first = tf.floor(uniform[:, 3:] * (size - pixels + 1))
    places = tf.range(size, dtype=tf.float32)[None, None, :]
    inside = tf.logical_and(places >= first[:, :, None], places < (first + pixels)[:, :, None])  # [B, 2, S]
    chosen = tf.logical_and(inside, (uniform[:, 0] < options["erasing"])[:, None, None])
    mask = tf.logical_and(chosen[:, 0, :, None, None], inside[:, 1, None, :, None])
    return tf.where(tf.broadcast_to(mask, tf.shape(images)), 255 * noise(), images)


def _clip(images):
    return tf.clip_by_value(images, 0.0, 255.0)


def _reflect(index, size):
    """Return positions before 0 or beyond size - 1 mirrored back in."""
    index = tf.abs(index)
    return (size - 1) - tf.abs((size - 1) - index)
