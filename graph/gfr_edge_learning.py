"""How GFR's layers `edge` learn their edges, from labels or without any.

With labels: pairs of neighbours among images of held-out classes (gfr_metric_learning.Found) are told apart, and
sharpness and strength of the propagation are those with the best mAP there; strength 0 leaves the features as the
metric made them, so that edges that do not help are not used.

Without labels: the dimensions are cut into two random halves, two views. Two images are taken for one thing if they
are mutual neighbours in one view, and the edges learn to tell that from the other view: an error would have to be made
twice to be believed. Sharpness and strength stay fixed, and signatures are propagated instead of features: across
fourteen sets, that is what brings it level with automatic CFA.
"""
import itertools

import numpy as np

from slim_retrieval.graph import affinity, gfr_edge, gfr_edge_features, gfr_scorer, gfr_validation, knn
from slim_retrieval.graph import features as unit

PROPAGATIONS = list(itertools.product([1.0, 2.0, 4.0], [0.8, 0.9, 0.97]))  # sharpness, strength
UNLABELLED = (2.0, 0.9, 0.5)  # the same and residual; a strength of 0.97 gains where classes are large and harms pairs
MOST_PAIRS = 200000
MOST_IMAGES = 20000
STRICT = 8  # mutual neighbours among so many are one thing
FEWEST_IMAGES = 20
OFF = gfr_edge.Edges(gfr_scorer.Scorer(np.zeros(gfr_edge_features.COUNT), 0.0), 1.0, 0.0, 0.0)


def learn(galleries, options, seed):
    """Return (Edges, report).

    Args:
      galleries: [(h float32 [n, r] with unit rows, labels int [n])]; neighbours are looked for within each.
      options: GFRConfig, resolved: neighbors, layers.
      seed: int; of the pairs that are drawn where there are more than MOST_PAIRS in a gallery.
    """
    lists = [knn.neighbors(h, min(options.neighbors, len(h) - 1)) for h, _ in galleries]
    pairs = [_flat(gfr_edge_features.features(near, near)) for near in lists]
    positive = [(of[near[0]] == of[:, None]).ravel() for near, (_, of) in zip(lists, galleries)]
    scorer = _fit(pairs, positive, np.random.RandomState([seed, 13]))
    scores = {(1.0, 0.0): gfr_validation.score(galleries)}
    for sharpness, strength in PROPAGATIONS if scorer else []:
        moved = [(_propagated(near, rows, h, gfr_edge.Edges(scorer, sharpness, strength, 0.0), options.layers), of)
                 for near, rows, (h, of) in zip(lists, pairs, galleries)]
        scores[sharpness, strength] = gfr_validation.score(moved)
    best = max(scores, key=scores.get)
    report = {"sharpness": best[0], "strength": best[1], "propagated": scores[best]}
    return gfr_edge.Edges(scorer or OFF.scorer, *best, residual=0.0), report


def learn_unlabelled(gallery, options, seed):
    """Return (Edges, report) learned from features [n, d] alone, which may be memory-mapped; MOST_IMAGES at most."""
    random = np.random.RandomState([seed, 12])
    n, d = gallery.shape
    if n < FEWEST_IMAGES or d < 2:
        return OFF, {"note": "too small to learn edges from: features stay as they are"}
    rows, order = np.sort(random.permutation(n)[:MOST_IMAGES]), random.permutation(d)
    views = [unit.normalise_rows(np.array(gallery[rows][:, order[half::2]], np.float32)) for half in (0, 1)]
    lists = [knn.neighbors(view, min(options.neighbors, len(rows) - 1)) for view in views]
    some = np.sort(random.permutation(len(rows))[:max(1, MOST_PAIRS // lists[0][0].shape[1])])
    pairs = [_flat(gfr_edge_features.features((near[0][some], near[1][some]), near)) for near in lists]
    positive = [mutual(other[0], some, near[0][some]).ravel() for near, other in zip(lists, lists[::-1])]
    scorer = _fit(pairs, positive, random)
    if scorer is None:
        return OFF, {"note": "the two views agree on every pair or on none: features stay as they are"}
    share = round(float(np.mean(np.concatenate(positive))), 4)
    return gfr_edge.Edges(scorer, *UNLABELLED), {"images": len(rows), "positive_pairs": share}


def mutual(ids, rows, candidates):
    """Return whether each row and each of its candidates, int [m, k], are among each other's STRICT nearest.

    Args:
      ids: int [n, K], nearest first.
      rows: int [m].
      candidates: int [m, k].
    """
    nearest = ids[:, :STRICT]
    forth = (nearest[rows][:, None, :] == candidates[:, :, None]).any(axis=2)
    back = (nearest[candidates] == rows[:, None, None]).any(axis=2)
    return forth & back


def _fit(pairs, positive, random):
    """Return the Scorer, or None where all pairs are positive or none is."""
    share = np.mean(np.concatenate(positive))
    if share in (0, 1):
        return None
    some = [random.permutation(len(rows))[:MOST_PAIRS] for rows in pairs]
    return gfr_scorer.fit(np.concatenate([rows[kept] for rows, kept in zip(pairs, some)]),
                          np.concatenate([values[kept] for values, kept in zip(positive, some)]))


def _propagated(near, pairs, h, learned, layers):
    weights = gfr_scorer.probability(learned.scorer, pairs).reshape(near[0].shape) ** learned.sharpness
    matrix = affinity.normalised(gfr_edge.graph(near[0], weights))
    return unit.normalise_rows(gfr_edge.propagate(matrix, h, learned.strength, layers)[1])


def _flat(pairs):
    return pairs.reshape(-1, pairs.shape[2])
