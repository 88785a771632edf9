"""How GFR's layers `edge` learn their edges from labels; without labels: gfr_edge_unlabelled.py.

Pairs of neighbours among images of held-out classes (gfr_metric_learning.Found) are told apart, and sharpness and
strength of the propagation, then its depth, are those with the best mAP there; a gallery is judged with edges that
were learned on the others. Where the best is not ahead by more than chance explains (gfr_validation.ahead) the strength
is 0: features stay as the metric made them.
"""
import itertools

import numpy as np

from slim_retrieval.graph import affinity, gfr_edge, gfr_edge_features, gfr_scorer, gfr_validation, knn
from slim_retrieval.graph import features as unit

PROPAGATIONS = list(itertools.product([1.0, 2.0, 4.0], [0.8, 0.9, 0.97]))  # sharpness, strength
LAYERS = 16  # where none are given; while the rest is chosen, too
# One of these instead, where it is ahead. Fewer sit ill with queries that are not in the graph: the feature of their
# neighbours that they take is one layer behind, which matters while layers still differ.
DEPTHS = [4, 8, 16, 32]
MOST_PAIRS = 200000
OFF = gfr_edge.Edges(gfr_scorer.Scorer(np.zeros(gfr_edge_features.COUNT), 0.0), 1.0, 0.0, 0.0, 1)


def learn(galleries, options, seed):
    """Return (Edges, report, what gfr_validation.judge gives of them).

    Args:
      galleries: [(h float32 [n, r] with unit rows, labels int [n])], neighbours are looked for within each. One
        alone teaches nothing that could be judged.
      options: GFRConfig, resolved: neighbors, layers (0: chosen).
      seed: int; of the pairs that are drawn where there are more than MOST_PAIRS in a gallery.
    """
    lists = [knn.neighbors(h, min(options.neighbors, len(h) - 1)) for h, _ in galleries]
    pairs = [flat(gfr_edge_features.features(near, near)) for near in lists]
    positive = [(of[near[0]] == of[:, None]).ravel() for near, (_, of) in zip(lists, galleries)]
    plain = gfr_validation.judge(galleries)
    edges, judged = OFF, plain
    scorers = [fit(_without(i, pairs), _without(i, positive), np.random.RandomState([seed, 13, i]))
               for i in range(len(galleries))] if len(galleries) > 1 else [None]
    if None not in scorers:
        weighted = [(near[0], gfr_scorer.probability(scorer, rows).reshape(near[0].shape), h, labels)
                    for scorer, near, rows, (h, labels) in zip(scorers, lists, pairs, galleries)]
        found, judged = _choose(weighted, options.layers)
        scorer = fit(pairs, positive, np.random.RandomState([seed, 13]))
        edges = gfr_edge.Edges(scorer, *found[:2], residual=0.0, layers=found[2])
        if not gfr_validation.ahead(judged, plain):
            edges, judged = OFF, plain
    return edges, dict(zip(edges._fields[1:], edges[1:]), propagated=gfr_validation.mean(judged)), judged


def fit(pairs, positive, random):
    """Return the Scorer of pairs' features and whether each is positive, or None where all are or none is.

    Args:
      pairs: [float [p, COUNT]]; positive: [bool [p]]; of each MOST_PAIRS at most are drawn.
    """
    share = np.mean(np.concatenate(positive))
    if share in (0, 1):
        return None
    some = [random.permutation(len(rows))[:MOST_PAIRS] for rows in pairs]
    return gfr_scorer.fit(np.concatenate([rows[kept] for rows, kept in zip(pairs, some)]),
                          np.concatenate([values[kept] for values, kept in zip(positive, some)]))


def _without(i, values):
    return values[:i] + values[i + 1:]


def flat(pairs):
    """Return features [m, k, COUNT] as [m k, COUNT]."""
    return pairs.reshape(-1, pairs.shape[2])


def _choose(weighted, given):
    """Return ((sharpness, strength, layers), judged) of the best; `given` layers or the best number."""
    layers, scores = given or LAYERS, {}
    for sharpness, strength in PROPAGATIONS:
        scores.update(_judged(weighted, sharpness, strength, [layers]))
    best = max(scores, key=lambda key: gfr_validation.mean(scores[key]))
    if not given:
        scores = _judged(weighted, best[0], best[1], DEPTHS)
        best = gfr_validation.best(scores, base=best)
    return best, scores[best]


def _judged(weighted, sharpness, strength, depths):
    """Return {(sharpness, strength, depth): what gfr_validation.judge gives} for rising depths, in one propagation."""
    judged = {(sharpness, strength, depth): [] for depth in depths}
    for ids, probability, h, labels in weighted:
        matrix, y = affinity.normalised(gfr_edge.graph(ids, probability ** sharpness)), h
        for depth in range(1, depths[-1] + 1):
            y = gfr_edge.step(matrix, h, y, strength)
            if depth in depths:
                moved = [(unit.normalise_rows(y.copy()), labels)]
                judged[sharpness, strength, depth] += gfr_validation.judge(moved)
    return judged
