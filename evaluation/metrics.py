"""Metrics of a ranking, as fractions of 1 (the N-S score: from 0 to 4); metric_names.py lists them."""
import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.evaluation import metric_names
from slim_retrieval.evaluation.average_precision import AVERAGE_PRECISION
from slim_retrieval.evaluation.places import find

PLACES_PER_BLOCK = 2 ** 20  # places judged at a time; a few arrays of this many 8-byte numbers are alive at once


def evaluate(ranks, relevance, ap="step", recall_at=(1, 5, 10), names=()):
    """Return the metrics of a ranking.

    Junk is removed, positives that were never returned count as precision 0 (and as not found), -1 ends a ranking.
    Queries without positives are left out of every mean and are counted. A ranking has no ties: whoever ranked by
    scores has broken them.

    Args:
      ranks: int [num_queries, k], gallery ids, best first, checked by `rankings.check`; may be memory-mapped.
      relevance: a `relevance.Relevance` of the same queries and gallery.
      ap: definition of average precision, `step` or `trapezoid`.
      recall_at: depths k of Recall@k, precision@k, mAP@k and NDCG@k.
      names: further metrics, such as CMC@20, as metric_names.py spells them.

    Returns:
      dict with `mAP` and the other metrics by their keys (metric_names.py); `num_queries` (all of them),
      `num_queries_without_positives` and `num_queries_without_results` (only -1); `average_precision`, float64
      [num_queries], NaN where left out.

    Raises:
      InputError: unknown AP definition or metric, or no query has a positive.
    """
    average_precision = lookup(AVERAGE_PRECISION, ap, "definition of average precision")
    wanted = metric_names.stored(recall_at, names)
    num_queries, k = ranks.shape
    counted = relevance.num_positives > 0
    if not counted.any():
        raise InputError("none of the {} queries has a positive among the {} gallery images; check that both use the "
                         "same labels".format(num_queries, relevance.num_gallery))
    aps, sums, unanswered = np.empty(num_queries), dict.fromkeys(wanted, 0.0), 0
    block = max(1, PLACES_PER_BLOCK // max(k, 1))
    for start in range(0, num_queries, block):
        rows = np.arange(start, min(start + block, num_queries))
        some = np.asarray(ranks[start:start + block])
        hits, junk = relevance.judge(rows, some)
        places = find(hits, relevance.num_positives[rows], junk)
        aps[rows] = average_precision(places)
        unanswered += int((some[:, 0] < 0).sum())
        for key, metric in wanted.items():
            sums[key] += np.nansum(metric.compute(places))
    metrics = {"mAP": float(aps[counted].mean())}
    metrics.update((key, float(total / counted.sum())) for key, total in sums.items())
    metrics.update(num_queries=num_queries, num_queries_without_positives=int((~counted).sum()),
                   num_queries_without_results=unanswered, average_precision=aps)
    return metrics
