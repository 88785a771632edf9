"""Batches of GFR's training: who is drawn, and which rows a step needs.

A step feeds the rows that a batch of anchors can see: the anchors, their k neighbours and, for each deeper layer,
the neighbours of those. Rows that several anchors share are fed and projected once, so a batch of b anchors
with L layers costs at most min(n, b (k + 1)^L) rows: about 700 for 64 anchors with k = 10 and one layer, 7,700 with
two; from three layers on nearly every step works on the whole train set, however small the batch.

Positives and negatives are drawn anew in each epoch. An anchor whose class has no other member has no positive and
is left out of the means T and B.
"""
import numpy as np

from slim_retrieval.graph import gfr_layer


class Sampler:
    """Draws positives and negatives for anchors: rows sorted by label, a class is one stretch of them."""

    def __init__(self, labels, seed):
        self.labels, self.seed = labels, seed
        self.order = np.argsort(labels, kind="stable")
        self.place = np.argsort(self.order, kind="stable")
        self.count = np.bincount(labels)
        self.start = np.cumsum(self.count) - self.count
        self.classes = len(self.count)

    def epoch(self, epoch, roles):
        """Return (ids int [roles, n] of anchors, positives and negatives in a random order, valid float [n])."""
        rng = np.random.RandomState([self.seed, 2, epoch])
        anchors, n = rng.permutation(len(self.labels)), len(self.labels)
        label = self.labels[anchors]
        count, start = self.count[label], self.start[label]
        inside = (self.place[anchors] - start + 1 + _below(rng, count - 1)) % count
        outside = _below(rng, n - count)
        ids = [anchors, self.order[start + inside], self.order[outside + count * (outside >= start)]]
        return np.stack(ids[:roles]), (count > 1).astype(np.float32)


def _below(rng, high):
    """Return random whole numbers from 0 to high - 1 (0 where high is 0)."""
    return (rng.random_sample(len(high)) * high).astype(np.int64)


def expand(anchors, near, layers, concate):
    """Return what a batch needs: (ids int [u] of rows to feed, [(own, member)] of each layer, first layer first).

    `own` and `member` are positions among the rows that the layer is given; see gfr_layer.layer.
    """
    nodes, tables = np.asarray(anchors), []
    for _ in range(layers):
        around = near[nodes]
        needed = np.unique(np.concatenate([nodes, around[around >= 0]]))
        own = np.searchsorted(needed, nodes)
        around = np.where(around >= 0, np.searchsorted(needed, around), -1)
        tables.insert(0, (own, gfr_layer.members(own, around, concate)))
        nodes = needed
    return nodes, tables
