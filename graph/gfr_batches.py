"""Batches of the training of GFR's networks: who is drawn, and which rows a step needs.

A step feeds the rows that a batch of anchors can see: the anchors, their k neighbours and, for each deeper layer,
the neighbours of those. Rows that several anchors share are fed and projected once, so a batch of b anchors
with L layers costs at most min(n, b (k + 1)^L) rows: about 700 for 64 anchors with k = 10 and one layer, 7,700 with
two; from three layers on nearly every step works on the whole train set, however small the batch.
With `sample` s a node aggregates s neighbours, drawn anew for each layer and step: at most b (s + 1)^L rows. With
`drop_edge` each neighbour is left out with that probability, which also keeps deep networks from smoothing features
away (Rong et al., "DropEdge", ICLR 2020). Inference always sees every neighbour.

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


class Pairs:
    """Draws positives where there are no labels: an anchor's mutual neighbours. Negatives are any others.

    Args:
      near: int [n, k], neighbours of each row; -1 pads.
      seed: int.
    """

    def __init__(self, near, seed):
        self.labels, self.seed, self.classes = np.arange(len(near)), seed, len(near)
        self.near = np.where(_mutual(near), near, -1)

    def epoch(self, epoch, roles):
        """Return (ids int [roles, n], valid float [n]) as Sampler does; without a mutual neighbour: not valid."""
        n = len(self.near)
        rng = np.random.RandomState([self.seed, 2, epoch])
        anchors = rng.permutation(n)
        keys = np.where(self.near >= 0, rng.random_sample(self.near.shape), -1)[anchors]
        positives = self.near[anchors, keys.argmax(axis=1)]
        valid = positives >= 0
        positives = np.where(valid, positives, anchors)
        negatives = (anchors + 1 + _below(rng, np.full(n, n - 1))) % n
        return np.stack([anchors, positives, negatives][:roles]), valid.astype(np.float32)


def _mutual(near):
    """Return bool [n, k]: whether the row is in its neighbour's list too."""
    return np.stack([(near[j] == np.arange(len(near))[:, None]).any(axis=1) & (j >= 0) for j in near.T], axis=1)


def thinner(options, rng):
    """Return the function that leaves out neighbours, [b, k] -> [b, <= k] with more -1, or None where none are to be.

    Args:
      options: an object with GFRConfig's sample and drop_edge.
      rng: numpy.random.RandomState, drawn from at each call.
    """
    if not options.sample and not options.drop_edge:
        return None

    def thin(around):
        keys = np.where(around >= 0, rng.random_sample(around.shape), 2)
        if options.sample and options.sample < around.shape[1]:
            order = np.argsort(keys, axis=1)[:, :options.sample]
            around, keys = np.take_along_axis(around, order, axis=1), rng.random_sample(order.shape)
        return np.where(keys < options.drop_edge, -1, around)
    return thin


def expand(anchors, near, layers, concate, thin=None):
    """Return what a batch needs: (ids int [u] of rows to feed, [(own, member)] of each layer, first layer first).

    `own` and `member` are positions among the rows that the layer is given; see gfr_layer.layer. `thin` is applied to
    the neighbours of each layer's nodes.
    """
    nodes, tables = np.asarray(anchors), []
    for _ in range(layers):
        around = near[nodes] if thin is None else thin(near[nodes])
        needed = np.unique(np.concatenate([nodes, around[around >= 0]]))
        own = np.searchsorted(needed, nodes)
        around = np.where(around >= 0, np.searchsorted(needed, around), -1)
        tables.insert(0, (own, gfr_layer.members(own, around, concate)))
        nodes = needed
    return nodes, tables
