"""Pictures that are nearly the same, found without comparing every image with every other.

Two images are near-identical when their 9 x 9 colour thumbnails differ by at most `LIMIT` of 255 levels, root mean
square: another format, JPEG quality or size of the same picture, or a crop of a hundredth, but not another
brightness.
Thumbnails are projected on a few principal directions and looked up in a k-d tree. A projection never makes a distance
larger, so no pair is missed, and only pairs that are close there are compared in full.
"""
import numpy as np
from scipy.spatial import cKDTree

LIMIT = 3.0
_DIRECTIONS = 8
_SAMPLE = 20000  # thumbnails that fix the directions
_BLOCK = 512


def near_pairs(first, second, limit=LIMIT):
    """Yield (i, j), int64 arrays in blocks: thumbnail i of `first` is near-identical to thumbnail j of `second`.

    Memory is that of the projections and of the pairs of one block of `first`.

    Args:
      first, second: uint8 [n, 9, 9, 3] and [m, 9, 9, 3] (datasets/checks.py).
      limit: root mean square difference in levels of 255.
    """
    if not len(first) or not len(second):
        return
    first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    radius = limit * np.sqrt(first.shape[1])
    directions = _directions(first, second)
    tree = cKDTree(_projected(second, directions))
    for start in range(0, len(first), _BLOCK):
        # The sum of squares is that of float32: a little more than the radius, so that rounding loses nothing.
        found = tree.query_ball_point(_projected(first[start:start + _BLOCK], directions), radius * 1.0001)
        i = np.repeat(np.arange(start, start + len(found)), [len(rows) for rows in found])
        j = np.fromiter((row for rows in found for row in rows), np.int64, len(i))
        close = _close(first, second, i, j, radius)
        if close.any():
            yield i[close], j[close]


def _close(first, second, i, j, radius):
    """Return which pairs (i, j) are within the radius, in full; in blocks, since there may be many."""
    result = np.empty(len(i), bool)
    for start in range(0, len(i), 8192):
        part = slice(start, start + 8192)
        difference = first[i[part]].astype(np.int32) - second[j[part]]
        result[part] = (difference ** 2).sum(axis=1) <= radius ** 2
    return result


def _directions(first, second):
    """Return orthonormal directions of most variance, float32 [width, few]."""
    sample = np.concatenate([part[::len(part) // _SAMPLE + 1] for part in (first, second)]).astype(np.float64)
    _, vectors = np.linalg.eigh(np.cov(sample, rowvar=False)) if len(sample) > 1 else (None, np.eye(sample.shape[1]))
    return vectors[:, -_DIRECTIONS:].astype(np.float32)


def _projected(thumbs, directions):
    result = np.empty((len(thumbs), directions.shape[1]), np.float32)
    for start in range(0, len(thumbs), 8192):
        result[start:start + 8192] = thumbs[start:start + 8192].astype(np.float32) @ directions
    return result
