"""How GFR's layers `edge` learn their edges without labels, from a gallery alone.

The dimensions are cut into two random halves, two views. Two images are taken for one thing if they are mutual
neighbours in one view, and the edges learn to tell that from the other view: an error would have to be made twice to be
believed. Sharpness, strength and depth stay fixed, and signatures are propagated beside features (docs/study.md). What
all features have in common is taken away before (centring.py): the metric without labels.

Whether there is anything to learn shows in how often the two views agree. Where a mutual pair of one is one of the
other no more often than chance has it, their neighbours are noise, and features stay as they are.
"""
import numpy as np

from slim_retrieval.graph import features as unit
from slim_retrieval.graph import gfr_edge, gfr_edge_features, gfr_edge_learning, gfr_metric, knn

PROPAGATION = (3.0, 0.98, 1.0)  # sharpness, strength, residual
LAYERS = 48
MOST_IMAGES = 20000
STRICT = 8  # mutual neighbours among so many are one thing
FEWEST_IMAGES = 20
DEVIATIONS = 3  # of a Poisson count, by which agreement must exceed chance


def learn(gallery, metric, options, seed):
    """Return (Edges, report) learned from features [n, d], which may be memory-mapped; MOST_IMAGES rows at most.

    Args:
      metric: gfr_metric.Metric that comes first, or None.
      options: GFRConfig, resolved: neighbors, layers.
      seed: int; of the views and of what is drawn.
    """
    random = np.random.RandomState([seed, 12])
    n, d = gallery.shape
    if n < FEWEST_IMAGES or d < 2:
        return _off(n, "{} images of {} dimensions are too few to learn edges from".format(n, d))
    rows, order = np.sort(random.permutation(n)[:MOST_IMAGES]), random.permutation(d)
    h = gfr_metric.apply(metric, gallery[rows])
    views = [unit.normalise_rows(np.array(h[:, order[half::2]], np.float32)) for half in (0, 1)]
    lists = [knn.neighbors(view, min(options.neighbors, len(rows) - 1)) for view in views]
    some = np.sort(random.permutation(len(rows))[:max(1, gfr_edge_learning.MOST_PAIRS // lists[0][0].shape[1])])
    agreed, chance, significant = agreement(lists[0][0], lists[1][0], some)
    if not significant:
        return _off(len(rows), "two views of the features agree on {:.2%} of their mutual neighbours, chance gives "
                    "{:.2%}".format(agreed, chance))
    pairs = [gfr_edge_learning.flat(gfr_edge_features.features((near[0][some], near[1][some]), near))
             for near in lists]
    positive = [mutual(other[0], some, near[0][some]).ravel() for near, other in zip(lists, lists[::-1])]
    scorer = gfr_edge_learning.fit(pairs, positive, random)
    if scorer is None:
        return _off(len(rows), "the two views agree on every pair")
    return gfr_edge.Edges(scorer, *PROPAGATION, layers=options.layers or LAYERS), {
        "images": len(rows), "agreed": round(agreed, 4), "chance": round(chance, 4)}


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


def agreement(first, second, rows):
    """Return (share of the mutual pairs of one view that are mutual in the other, that of chance, whether it is more).

    Chance: n (n - 1) ordered pairs, of which each view holds as many as it does, at random. A count strays from its
    expectation by its root; twice that, since each pair is counted from both ends.

    Args:
      first, second: int [n, K], each view's neighbours, nearest first.
      rows: int [m], the images whose pairs are looked at.
    """
    near = first[rows, :STRICT]
    own = mutual(first, rows, near)
    others = mutual(second, rows, second[rows, :STRICT])
    both = np.sum(own & mutual(second, rows, near))
    chance = others.sum() / (len(rows) * (len(first) - 1))
    expected, count = own.sum() * chance, max(own.sum(), 1)
    return float(both / count), float(chance), bool(both > expected + DEVIATIONS * np.sqrt(2 * expected))


def _off(images, why):
    return gfr_edge_learning.OFF, {"images": images, "note": why}
