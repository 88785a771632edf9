"""What one pass over a ranking gives the report: precision by recall, recall by depth, and the first places' marks.

A query's interpolated precision at recall t is the best precision at any place whose recall is t or more, 0 where the
ranking never gets that far; the curve is its mean over queries at t = 0, .01, ..., 1 (as TREC's, with 101 levels for
its 11; Manning, Raghavan, Schuetze: Introduction to Information Retrieval, 8.4). Junk is removed before places are
counted.
"""
from typing import NamedTuple

import numpy as np

from slim_retrieval.evaluation.places import find

LEVELS = 101
PLACES_PER_BLOCK = 2 ** 21  # places judged at a time
PAD, WRONG, CORRECT, JUNK = 0, ord("w"), ord("c"), ord("j")


class Curves(NamedTuple):
    """Attributes:
      precision: float64 [LEVELS], mean interpolated precision at recall 0, .01, ..., 1.
      recall: float64 [k], mean share of a query's positives among its first 1, 2, ..., k places without junk.
      near: float64 [num_queries], positives among the first `depth` places, as a share of how many can be there
        (`depth`, or all positives where they are fewer); NaN without positives.
      marks: list of num_queries strings; a letter for each of the first places: c correct, w wrong, j junk.
    """
    precision: np.ndarray
    recall: np.ndarray
    near: np.ndarray
    marks: list


def measure(ranks, relevance, depth=10, first=10):
    """Return the `Curves` of a ranking, read in blocks of queries.

    Args:
      ranks: int [num_queries, k], gallery ids, best first, -1 pads at the end; may be memory-mapped.
      relevance: a `relevance.Relevance` of the same queries; at least one has a positive.
      depth: places that `near` looks at.
      first: places that `marks` tells.
    """
    num_queries, k = ranks.shape
    counted = relevance.num_positives > 0
    precision, recall = np.zeros(LEVELS), np.zeros(k)
    near, marks = np.full(num_queries, np.nan), []
    block = max(1, PLACES_PER_BLOCK // max(k, 1))
    for start in range(0, num_queries, block):
        rows = np.arange(start, min(start + block, num_queries))
        ids = np.asarray(ranks[start:start + block])
        hits, junk = relevance.judge(rows, ids)
        marks += marks_of(ids[:, :first], hits[:, :first], None if junk is None else junk[:, :first])
        places = find(hits, np.maximum(relevance.num_positives[rows], 1), junk)
        total = places.num_positives
        precision += _interpolated(places).sum(axis=0)
        recall += np.bincount(places.place, weights=1 / total[places.row], minlength=k + 1)[1:]
        near[rows] = np.bincount(places.row[places.place <= depth], minlength=len(rows)) / np.minimum(total, depth)
    near[~counted] = np.nan
    return Curves(precision / counted.sum(), np.cumsum(recall) / counted.sum(), near, marks)


def perfect_recall(num_positives, k):
    """Return what `Curves.recall` would be if each query's positives came first, float64 [k]."""
    num_positives = num_positives[num_positives > 0]
    # Place p adds 1/R for each query that has at least p positives.
    gains = np.bincount(np.minimum(num_positives, k), weights=1 / num_positives, minlength=k + 1)[1:]
    return np.cumsum(np.cumsum(gains[::-1])[::-1]) / len(num_positives)


def by_neighbours(near, average_precisions, bins=10):
    """Return the queries binned by `Curves.near`: (middle of each bin, queries in it, mean AP of each method in it).

    Args:
      near: float [num_queries], from 0 to 1 or NaN.
      average_precisions: float [methods, num_queries].

    Returns:
      float [b], int [b], float [methods, b], of the bins that hold a query.
    """
    counted = ~np.isnan(near)
    # The last bin holds its upper end, too; 1e-9: a share such as 3/10 belongs to the bin that begins there.
    place = np.minimum((near[counted] * bins + 1e-9).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    sums = [np.bincount(place, weights=ap[counted], minlength=bins) for ap in average_precisions]
    return (np.flatnonzero(used) + 0.5) / bins, count[used], np.array([one[used] / count[used] for one in sums])


def _interpolated(places):
    """Return interpolated precision, float64 [queries, LEVELS], of `places.Places` without a query of no positives."""
    row, total = places.row, places.num_positives
    # The best precision at a hit or later in its query: a running maximum from the end. Later queries come first in
    # it, so what is added grows towards earlier ones and no maximum passes from one query to another.
    lift = 2.0 * (len(total) - row)
    best = np.maximum.accumulate((places.order / places.place + lift)[::-1])[::-1] - lift
    counts = np.bincount(row, minlength=len(total))
    starts = np.cumsum(counts) - counts
    steps = LEVELS - 1
    needed = np.maximum((np.arange(LEVELS) * total[:, np.newaxis] + steps - 1) // steps, 1)  # hits that recall t takes
    if not len(best):
        return np.zeros(needed.shape)
    at = np.minimum(starts[:, np.newaxis] + needed - 1, len(best) - 1)
    return np.where(needed <= counts[:, np.newaxis], best[at], 0)


def marks_of(ids, hits, junk):
    """Return a string for each ranking, int [b, k]: c correct, w wrong, j junk, nothing for a pad."""
    codes = np.where(hits, CORRECT, WRONG)
    if junk is not None:
        codes = np.where(junk, JUNK, codes)
    codes = np.where(ids >= 0, codes, PAD).astype(np.uint8)
    return [bytes(row).rstrip(b"\0").decode("ascii") for row in codes]
