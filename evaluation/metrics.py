"""Metrics of a ranking: mAP, Recall@k and mean reciprocal rank, as fractions of 1."""
import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.evaluation.average_precision import AVERAGE_PRECISION

PLACES_PER_BLOCK = 2 ** 21  # places judged at a time; some ten arrays of this many 8-byte numbers are alive at once


def evaluate(ranks, relevance, ap="step", recall_at=(1, 5, 10)):
    """Return the metrics of a ranking.

    Junk is removed, positives that were never returned count as precision 0 (and as not found), -1 ends a ranking.
    Queries without positives are left out of every mean and are counted.

    Args:
      ranks: int [num_queries, k], gallery ids, best first, checked by `rankings.check`; may be memory-mapped.
      relevance: a `relevance.Relevance` of the same queries and gallery.
      ap: definition of average precision, `step` or `trapezoid`.
      recall_at: depths k of Recall@k, the share of queries with a positive among the first k that are not junk.

    Returns:
      dict with `mAP`, `recall_at_<k>` for each depth, `mean_reciprocal_rank`; `num_queries` (all of them) and
      `num_queries_without_positives`; `average_precision`, float64 [num_queries], NaN where left out.

    Raises:
      InputError: unknown AP definition, or no query has a positive.
    """
    average_precision = lookup(AVERAGE_PRECISION, ap, "definition of average precision")
    num_queries, k = ranks.shape
    counted = relevance.num_positives > 0
    if not counted.any():
        raise InputError("none of the {} queries has a positive among the {} gallery images; check that both use the "
                         "same labels".format(num_queries, relevance.num_gallery))
    aps, first = np.empty(num_queries), np.empty(num_queries)
    block = max(1, PLACES_PER_BLOCK // max(k, 1))
    for start in range(0, num_queries, block):
        rows = np.arange(start, min(start + block, num_queries))
        hits, junk = relevance.judge(rows, np.asarray(ranks[start:start + block]))
        aps[rows] = average_precision(hits, relevance.num_positives[rows], junk)
        first[rows] = _first_positive(hits, junk)
    metrics = {"mAP": float(aps[counted].mean())}
    for depth in recall_at:
        metrics["recall_at_{}".format(depth)] = float((first[counted] <= depth).mean())
    metrics["mean_reciprocal_rank"] = float((1 / first[counted]).mean())
    metrics["num_queries"] = num_queries
    metrics["num_queries_without_positives"] = int((~counted).sum())
    metrics["average_precision"] = aps
    return metrics


def _first_positive(hits, junk):
    """Return the place of the first positive, counted from 1 without junk; infinity where none was returned."""
    column = hits.argmax(axis=1)
    place = column + 1.0
    if junk is not None:
        place -= np.take_along_axis(np.cumsum(junk, axis=1), column[:, np.newaxis], axis=1)[:, 0]
    return np.where(hits.any(axis=1), place, np.inf)
