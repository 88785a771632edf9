"""The metrics by name, such as recall@5: what computes each, its key in a JSON, its heading in a table."""
from typing import Callable, NamedTuple, Optional

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.evaluation import average_precision, first_match, last_match, ndcg, precision


class Metric(NamedTuple):
    """A metric that is a mean over queries.

    Attributes:
      function: Places -> float64 [b], or for names with @k (Places, k) -> the same; None: the AP that was chosen.
      key: in a result's JSON, with {} for the depth.
      heading: of a table's column, with {} for the depth.
    """
    function: Optional[Callable]
    key: str
    heading: str


METRICS = {
    "mAP": Metric(None, "mAP", "mAP"),
    "mAP-step": Metric(average_precision.by_step, "mAP_step", "mAP (step)"),
    "mAP-trapezoid": Metric(average_precision.by_trapezoid, "mAP_trapezoid", "mAP (trapezoid)"),
    "mAP@k": Metric(average_precision.at_depth, "mAP_at_{}", "mAP@{}"),
    "MAP@R": Metric(average_precision.at_r, "MAP_at_R", "MAP@R"),
    "R-precision": Metric(precision.r_precision, "r_precision", "R-precision"),
    "precision@k": Metric(precision.at_depth, "precision_at_{}", "Precision@{}"),
    "mP@k": Metric(precision.revisited, "mP_at_{}", "mP@{}"),
    "recall@k": Metric(first_match.found_by, "recall_at_{}", "Recall@{}"),
    "CMC@k": Metric(first_match.found_by, "cmc_at_{}", "CMC@{}"),
    "MRR": Metric(first_match.reciprocal_rank, "mean_reciprocal_rank", "MRR"),
    "mINP": Metric(last_match.inverse_negative_penalty, "mINP", "mINP"),
    "NDCG": Metric(ndcg.ndcg, "ndcg", "NDCG"),
    "NDCG@k": Metric(ndcg.ndcg, "ndcg_at_{}", "NDCG@{}"),
    "N-S": Metric(precision.ns_score, "ns_score", "N-S"),
}

_BY_LOWER = {name.lower(): name for name in METRICS}  # upper and lower case are the same
ALWAYS = ["mAP-step", "mAP-trapezoid", "MAP@R", "R-precision", "MRR", "mINP", "NDCG", "N-S"]
ALWAYS_AT = ["recall@k", "precision@k", "mAP@k", "NDCG@k"]


class Named(NamedTuple):
    """A metric that was asked for by name. `compute` takes `Places`; None: the AP that was chosen."""
    compute: Optional[Callable]
    key: str
    heading: str


def parse(name):
    """Return the `Named` metric of a name such as mAP, recall@5 or MAP@R; upper and lower case are the same.

    Raises:
      InputError: unknown name (the nearest is shown), or a depth that is no whole number of at least 1.
    """
    if name.lower() in _BY_LOWER and not name.lower().endswith("@k"):
        metric = METRICS[_BY_LOWER[name.lower()]]
        return Named(metric.function, metric.key, metric.heading)
    base, at, depth = name.partition("@")
    known = lookup(_BY_LOWER, base.lower() + "@k" if at else name.lower(), "metric") if base else lookup(
        METRICS, name, "metric")
    if not depth.isdigit() or not int(depth):
        raise InputError("metric {}: k must be a whole number of at least 1, such as {}".format(
            name, known.replace("@k", "@10")))
    metric, k = METRICS[known], int(depth)
    return Named(lambda places: metric.function(places, k), metric.key.format(k), metric.heading.format(k))


def stored(depths, more=()):
    """Return {key: `Named`} of what every result stores: all metrics without depth, some at `depths`, and `more`."""
    names = ALWAYS + [name.replace("@k", "@{}".format(k)) for name in ALWAYS_AT for k in depths] + list(more)
    return {metric.key: metric for metric in map(parse, names) if metric.compute}
