"""What of an image file is meant: the columns `box` (a crop) and `rotation` of a list of images.

    box        x1 y1 x2 y2     pixels of the upright image, 0 the left or upper edge, x2 and y2 exclusive; may be
                               fractions, which are rounded as Pillow's crop does; empty: the whole image
    rotation   0 90 180 270    degrees anticlockwise, after the crop; empty: 0

The convention is that of the Oxford ground truth as the revisited benchmark's code crops it: Image.crop(box).
Source: https://github.com/filipradenovic/revisitop/blob/master/python/example_process_images.py
"""
import math
import re
from functools import partial

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.images import decode
from slim_retrieval.datasets.table import ImageTable, UnreadableImage

BOX, ROTATION = "box", "rotation"


def list_images(paths, columns):
    """Return the ImageTable of image files; rows with a `box` or `rotation` are read cropped and turned.

    Raises:
      InputError: a box or rotation that is none; the message gives the path.
    """
    boxes = [_checked(parse_box, text, path) for path, text in zip(paths, columns.get(BOX, []))]
    turns = [_checked(parse_rotation, text, path) for path, text in zip(paths, columns.get(ROTATION, []))]
    if not any(boxes) and not any(turns):
        return ImageTable(paths, columns, lambda i: partial(decode, paths[i]))

    def read(i):
        image = decode(paths[i])
        if boxes and boxes[i]:
            image = crop(image, boxes[i], paths[i])
        return np.ascontiguousarray(np.rot90(image, turns[i])) if turns and turns[i] else image
    return ImageTable(paths, columns, read)


def parse_box(text):
    """Return (x1, y1, x2, y2) as floats of "x1 y1 x2 y2" (spaces, commas or semicolons), or None when it is empty.

    Raises:
      InputError: not four numbers, or no area.
    """
    words = re.split(r"[\s,;]+", text.strip().strip("[]()").strip())
    if words == [""]:
        return None
    try:
        x1, y1, x2, y2 = (float(word) for word in words)
    except ValueError as error:
        raise InputError("the box {!r} is not x1 y1 x2 y2; rename the column if it is no crop".format(text)) from error
    if not (all(map(math.isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2):
        raise InputError("the box {!r} has no area; it needs x1 < x2 and y1 < y2".format(text))
    return x1, y1, x2, y2


def parse_rotation(text):
    """Return how many quarter turns anticlockwise "90" and so on mean."""
    if text.strip() not in ("", "0", "90", "180", "270"):
        raise InputError("the rotation {!r} is none of 0, 90, 180, 270; rename the column if it is no "
                         "turn".format(text))
    return int(text.strip() or 0) // 90


def crop(image, box, name):
    """Return the part of `image` (uint8 [H, W, 3]) within `box`; what lies beyond the edges is cut off.

    Raises:
      UnreadableImage: the box lies outside of the image.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (int(round(value)) for value in box)
    part = image[max(y1, 0):max(y2, 0), max(x1, 0):max(x2, 0)]
    if not part.size:
        raise UnreadableImage(name, "its box {} {} {} {} holds no pixel of its {} x {}".format(
            x1, y1, x2, y2, width, height))
    return np.ascontiguousarray(part)


def format_box(values):
    """Return four numbers as the text of a `box` column."""
    return " ".join("{:.10g}".format(float(value)) for value in values)


def _checked(parse, text, path):
    try:
        return parse(text)
    except InputError as error:
        raise InputError("{}: {}".format(path, error)) from error
