"""How GFR chooses its metric: by what helps on classes that the metric has not seen.

The classes are cut into two halves (gfr_validation.folds) and what is learned on one is judged on the other, since the
images of classes that a metric has seen look tidier than those of any new class will.

    1. none, or the discriminant of the strength with the best mAP on held-out classes;
    2. `metric: trained`: as many epochs of a ranking loss from there as help on held-out classes, perhaps none.

Each must be ahead by more than chance explains (gfr_validation.ahead). Then the same is done with all classes.
"""
import collections

import numpy as np

from slim_retrieval.graph import gfr_metric, gfr_metric_descent, gfr_validation

STRENGTHS = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]  # of the discriminant's shrinkage

# galleries: [(h, labels)] of the held-out halves, each as the metric of the other half makes it. held: the same before.
Found = collections.namedtuple("Found", "metric galleries held report")


def learn(train, labels, options, seed):
    """Return Found; its metric is None where none was wanted or helped.

    Args:
      train: float [n, d], unit rows; may be memory-mapped.
      labels: int [n], 0 to classes - 1.
      options: GFRConfig, resolved: metric, and for `trained` the settings of the training.
      seed: int; of the halves, and of the batches.

    Too few classes to hold any out: no metric, and `galleries` are two halves of the images of classes that have two.
    """
    folds = gfr_validation.folds(labels, seed)
    if not folds:
        galleries = [(np.asarray(train[rows]), labels[rows]) for rows in gfr_validation.halves(labels, seed)]
        plain = gfr_validation.judge(galleries)
        return Found(None, galleries, galleries, {"held_out": False, "plain": gfr_validation.mean(plain)})
    held = [(np.asarray(train[judged]), labels[judged]) for _, judged in folds]
    plain = gfr_validation.judge(held)
    report = {"held_out": True, "judged": [len(rows) for rows, _ in held], "plain": gfr_validation.mean(plain)}
    if options.metric == "none":
        return Found(None, held, held, report)
    return _choose_strength(train, labels, folds, (held, plain), options, seed, report)


def _choose_strength(train, labels, folds, judged, options, seed, report):
    held, plain = judged
    part = np.zeros(len(labels), int)
    part[folds[1][0]] = 1  # the two folds learn from complementary rows
    parts = gfr_metric.sums(train, labels, part)
    halves = [gfr_metric.moments(of) for of in parts]
    scores = {0.0: plain}
    # V alone, without R, which decides no more than which directions are dropped and costs as much again.
    for strength, *tried in zip(STRENGTHS, *(gfr_metric.whitenings(half, STRENGTHS) for half in halves)):
        metrics = [gfr_metric.scaled(half.mean, whitening) for half, whitening in zip(halves, tried)]
        scores[strength] = gfr_validation.judge(_moved(metrics, held))
    best = gfr_validation.best(scores, base=0.0)
    report.update(metric_strength=best, metric=gfr_validation.mean(scores[best]))
    if best == 0:
        return Found(None, held, held, report)
    metric = gfr_metric.discriminant(gfr_metric.moments(*parts), best)
    starts = [gfr_metric.discriminant(half, best) for half in halves]
    if options.metric != "trained":
        return Found(metric, _moved(starts, held), held, report)
    return _choose_epochs(train, labels, folds, held, (starts, metric), options, seed, report)


def _choose_epochs(train, labels, folds, held, starts, options, seed, report):
    paths = [gfr_metric_descent.refine(train, labels, rows, start, options, options.epochs, seed)
             for (rows, _), start in zip(folds, starts[0])]
    galleries = [_moved(metrics, held) for metrics in zip(*paths)]
    scores = dict(enumerate(gfr_validation.judge(of) for of in galleries))
    epochs, path = gfr_validation.best(scores, base=0), [round(gfr_validation.mean(of), 4) for of in scores.values()]
    report.update(metric_epochs=epochs, metric=path[epochs], metric_by_epoch=path)
    metric = gfr_metric_descent.refine(train, labels, np.arange(len(labels)), starts[1], options, epochs, seed)[-1]
    return Found(metric, galleries[epochs], held, report)


def _moved(metrics, held):
    return [(gfr_metric.apply(metric, rows), of) for metric, (rows, of) in zip(metrics, held)]
