"""How GFR's layers `edge` learn where there are labels: a metric, then edges, unless what needs no labels is as good.

On held-out classes both are judged: metric and edges as learned from the labels of other classes, and centring and
edges as learned without any (gfr_edge_unlabelled.py). The better one is taken. Labels of a handful of classes may teach
what does not hold for others; asking them to be ahead by more than chance cost more, in trials, than it saved.
"""
import numpy as np

from slim_retrieval.graph import (
    gfr_edge,
    gfr_edge_learning,
    gfr_edge_unlabelled,
    gfr_metric,
    gfr_metric_learning,
    gfr_validation,
    knn,
)


def learn(train, labels, options, seed):
    """Return (Metric or None, Edges, report).

    Args:
      train: float [n, d], unit rows; may be memory-mapped.
      labels: int [n], 0 to classes - 1, at least one of them twice.
      options: GFRConfig, resolved. A metric other than `trained` was asked for, and is not weighed against none.
      seed: int.
    """
    found = gfr_metric_learning.learn(train, labels, options, seed)
    edges, report, judged = gfr_edge_learning.learn(found.galleries, options, seed)
    report = dict(found.report, images=len(labels), classes=int(labels.max()) + 1, labels=True, **report)
    if options.metric != "trained":
        return found.metric, edges, report
    metric, others, about = without_labels(train, options, seed)
    base = gfr_validation.judge([(_moved(metric, others, rows, options), of) for rows, of in found.held])
    if gfr_validation.mean(judged) > gfr_validation.mean(base):
        return found.metric, edges, dict(report, without_labels=gfr_validation.mean(base))
    return metric, others, dict(about, with_labels=gfr_validation.mean(judged),
                                without_labels=gfr_validation.mean(base))


def without_labels(train, options, seed):
    """Return (Metric or None, Edges, report) learned from features alone."""
    metric = gfr_metric.centring_only(train)
    edges, report = gfr_edge_unlabelled.learn(train, metric, options, seed)
    return metric, edges, dict(report, labels=False)


def _moved(metric, edges, rows, options):
    h = np.asarray(gfr_metric.apply(metric, rows))
    return gfr_edge.EdgeLayers(edges).fit(h, knn.neighbors(h, min(options.neighbors, len(h) - 1)))
