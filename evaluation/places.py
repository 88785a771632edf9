"""Where a block of rankings has its positives: the few numbers that every metric of a ranking is made of.

A ranking of a million images with five positives is five places. They are found once for a block of queries; a metric
is then a sum over them.
"""
from typing import NamedTuple

import numpy as np


class Places(NamedTuple):
    """The positives that a block of rankings returned, row by row, best first.

    Attributes:
      row: int64 [h], the ranking that holds the positive, from 0.
      place: int64 [h], where it stands, counted from 1 without junk.
      order: int64 [h], 1 for a ranking's first positive, 2 for its second, ...
      num_positives: int64 [b], all positives of each query in the gallery, returned or not.
    """
    row: np.ndarray
    place: np.ndarray
    order: np.ndarray
    num_positives: np.ndarray


def find(hits, num_positives, junk=None):
    """Return the `Places` of a block of rankings.

    Args:
      hits: bool [b, k]; whether each place of the ranking, best first, holds a positive. A ranking that is shorter than
        k ends in False.
      num_positives: int [b]; all positives of the query in the gallery, returned or not.
      junk: bool [b, k] or None; places that are removed, neither right nor wrong.
    """
    num_rows, k = hits.shape
    found = np.flatnonzero(hits)
    row = found // max(k, 1)
    counts = np.bincount(row, minlength=num_rows)
    order = np.arange(1, len(found) + 1) - (np.cumsum(counts) - counts)[row]
    place = found - row * k + 1
    if junk is not None:
        removed = np.flatnonzero(junk)
        before = np.searchsorted(removed, np.arange(num_rows) * k)  # of all rows above
        place -= np.searchsorted(removed, found) - before[row]
    return Places(row, place, order, np.asarray(num_positives, np.int64))


def sums(places, terms):
    """Return the sum of one term for each positive, by ranking: float64 [b]."""
    return np.bincount(places.row, weights=terms, minlength=len(places.num_positives))


def share(values, whole):
    """Return values / whole, float64 [b]; NaN where the whole is 0: a query without positives has no score."""
    whole = np.asarray(whole, np.float64)
    return np.divide(values, whole, out=np.full(len(whole), np.nan), where=whole > 0)
