"""Layers `edge` of GFR: propagation over learned edges, as deep as one likes.

    A_ij = p_ij^sharpness for j among i's k nearest or i among j's, p the edge network's probability (gfr_scorer.py)
    S    = D^-1/2 A D^-1/2
    y_0  = h,   y_l = (1 - strength) h + strength S y_{l-1}
    the feature is y_L, normalised

(personalised propagation of Klicpera et al., "Predict then Propagate", ICLR 2019, equation 4, whose edges are given.)
Every layer starts again from h, so features of different classes do not run together however deep it is: y_L tends to
the solution of (I - strength S) y = (1 - strength) h. A query takes part in no layer of the gallery's: it is the node
that one more row of S would make,

    y(q) = (1 - strength) h(q) + strength sum_j A_qj / sqrt(d_q d_j) y_{L-1}(j)

and a query without neighbours keeps h(q).

With `residual` above 0 the signatures s of the nodes (signatures.py) are propagated beside h, a query's being that of
its nearest neighbour, and the feature is normalise([y_L(s) ; FEATURE (y_L(h) + residual h)]), both y_L normalised: what
automatic CFA makes of its own edges.
"""
import collections

import numpy as np
from scipy import sparse

from slim_retrieval.common.progress import progress
from slim_retrieval.graph import affinity, features, gfr_edge_features, gfr_scorer, query_expansion, signatures

FEATURE = 0.4  # weight of the features' part beside the signatures' part

Edges = collections.namedtuple("Edges", "scorer sharpness strength residual layers")


class EdgeLayers:
    """Propagates a gallery and its queries.

    Memory beside the inputs: three float32 [n, r], r the width of what is propagated, the graph [n, k] twice and, while
    its edges are scored, blocks.

    Args:
      learned: Edges; its layers are L, at least 1.
    """

    def __init__(self, learned):
        self.learned = learned

    def fit(self, h, near):
        """Return the gallery's features, float32 [n, width].

        Args:
          h: float32 [n, r], unit rows; may be memory-mapped.
          near: (ids, similarities) of each row's neighbours among h, itself left out; best first, -1 pads.
        """
        self._near, self._start = near, h
        if self.learned.residual and len(h):
            self._start = np.concatenate([signatures.signatures(np.asarray(h), *near), h], axis=1)
        weights = self.weights(near)
        self.effective = np.sum(weights ** (1 / self.learned.sharpness), axis=1)  # neighbours that count, each by p
        matrix = graph(near[0], weights)
        self._degrees = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
        self._before, last = propagate(affinity.normalised(matrix), self._start, self.learned.strength,
                                       self.learned.layers)
        return combined(last, h, self.learned.residual)

    def transform(self, h, near):
        """Return the queries' features, float32 [q, width]; `near` names their neighbours in the gallery."""
        ids, weights = np.maximum(near[0], 0), self.weights(near)
        own = weights.sum(axis=1, keepdims=True)
        scale = np.sqrt(own * self._degrees[ids])
        weights = np.divide(weights, scale, out=np.zeros_like(weights), where=scale > 0).astype(np.float32)
        result = query_expansion.weighted_sum(self._before, ids, weights)
        result *= np.float32(self.learned.strength)
        start = h
        if self.learned.residual:
            width = self._start.shape[1] - h.shape[1]
            known = np.where(near[0][:, :1] >= 0, signatures.of_queries(ids, self._start[:, :width]), np.float32(0))
            start = np.concatenate([known, h], axis=1)
        result += np.float32(1 - self.learned.strength) * start
        return combined(result, h, self.learned.residual)

    def weights(self, near):
        """Return A of each node and each image in its list, float64 [m, k]; 0 at pads."""
        pairs = gfr_edge_features.features(near, self._near)
        return np.where(near[0] >= 0, gfr_scorer.probability(self.learned.scorer, pairs) ** self.learned.sharpness, 0)


def combined(y, h, residual):
    """Return the feature made of y_L, float32 [n, width], which is changed; see above."""
    if residual:
        width = y.shape[1] - h.shape[1]
        for start, stop in features.blocks(*y.shape):
            features.normalise_rows(y[start:stop, :width])
            moved = features.normalise_rows(y[start:stop, width:])
            moved += np.float32(residual) * h[start:stop]
            moved *= np.float32(FEATURE)
    return features.normalise_rows(y)


def graph(ids, weights):
    """Return A as symmetric float32 CSR [n, n]: the weight that either of the two gives to the pair."""
    n, k = ids.shape
    kept = weights > 0
    rows = np.repeat(np.arange(n), k)[kept.ravel()]
    matrix = sparse.csr_matrix((weights[kept].astype(np.float32), (rows, ids[kept])), shape=(n, n))
    return matrix.maximum(matrix.T).tocsr()


def propagate(matrix, h, strength, layers):
    """Return (y_{L-1}, y_L), float32 [n, r] each, not normalised; h itself may be the first of them."""
    before, last = h, np.asarray(h, np.float32)
    for _ in progress(range(layers), what="GFR: propagating", unit="layer"):
        before, last = last, step(matrix, h, last, strength)
    return before, last


def step(matrix, h, before, strength):
    """Return y_l of y_{l-1}, a new float32 [n, r]."""
    last = np.empty(h.shape, np.float32)
    for start, stop in features.blocks(*h.shape):
        last[start:stop] = matrix[start:stop] @ before
        last[start:stop] *= np.float32(strength)
        last[start:stop] += np.float32(1 - strength) * h[start:stop]
    return last
