"""The options of augmentation, checked; and what part of an image a random resized crop shows, drawn in NumPy.

The crop is cut out of the image as it was decoded, before it is resized, so it costs no sharpness. All else happens in
the graph (augment_pipeline.py).
"""
import dataclasses
import math

import numpy as np

from slim_retrieval.common.data_schema import AugmentationConfig
from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.rounds import BOXES

OFF = dataclasses.asdict(AugmentationConfig())


def check_augmentation(options):
    """Refuse ranges that are none.

    Raises:
      InputError: names the option and its value.
    """
    for name, low, high in (("crop_area", 0, 1), ("crop_aspect", 0, math.inf), ("erasing_area", 0, 1),
                            ("erasing_aspect", 0, math.inf)):
        values = list(options[name])
        if len(values) != 2 or not low < values[0] <= values[1] <= high:
            raise InputError("data.augmentation.{}: {} is no range; give [from, to] with 0 < from <= to{}".format(
                name, values, " <= 1" if high == 1 else ""))


def random_boxes(seed, step, count, area, aspect):
    """Return float64 [count, 4]: left, top, right, bottom as shares of the image's sides.

    The area is uniform in its range and the aspect log-uniform in its, as in Szegedy et al. 2015 (section 6), with one
    difference: an aspect at which a box of that area does not fit into the image is never drawn, rather than drawn
    again. Where the range holds no other, it is the nearest that fits. The place is uniform.

    Args:
      seed, step: the boxes of a step are a pure function of both; box i does not depend on `count`.
      area: [from, to], shares of the image's area, above 0 up to 1.
      aspect: [from, to], width over height of the box over that of the image, above 0.
    """
    draws = np.random.RandomState((seed, BOXES, step)).uniform(size=(count, 4))
    areas = area[0] + (area[1] - area[0]) * draws[:, 0]
    # A box a wide and 1 / r as high as its square fits if sqrt(a r) and sqrt(a / r) are at most 1.
    low, high = np.clip(aspect[0], areas, 1 / areas), np.clip(aspect[1], areas, 1 / areas)
    ratios = np.exp(np.log(low) + (np.log(high) - np.log(low)) * draws[:, 1])
    sides = np.minimum(np.sqrt(np.stack([areas * ratios, areas / ratios], axis=1)), 1)
    corners = draws[:, 2:] * (1 - sides)
    return np.concatenate([corners, np.minimum(corners + sides, 1)], axis=1)


def is_whole(area, aspect):
    """Return whether the ranges leave nothing but the whole image."""
    return list(area) == [1, 1] and list(aspect) == [1, 1]
