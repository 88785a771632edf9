"""A network of GFR layers applied to a gallery and to queries: what happens between the layers and after the last.

    h_l     the l-th layer's output (gfr_layers.py), minus its mean over the gallery and normalised again if `pair_norm`
    x_l     the next layer's input: h_l, or ReLU(h_l) if `activate`
    feature h_L; normalise([x_0 ; h_1 ; ... ; h_L]) with jump concat, or `combine`; normalise(max over l of h_l) with
            jump max

`pair_norm` is the variant with a scale for each row of Zhao and Akoglu, "PairNorm: Tackling Oversmoothing in GNNs",
ICLR 2020, section 4.2; jump is Xu et al., "Representation Learning on Graphs with Jumping Knowledge Networks", ICML
2018.

Layer l of a query sees the query's own x_{l-1} and its neighbours' as the gallery has them, so the gallery does not
change when a query comes. A query without neighbours passes through the same weights alone.
"""
import numpy as np

from slim_retrieval.common.progress import progress
from slim_retrieval.graph import gfr_layer, gfr_layers, gfr_options


class Network:
    """Applies trained weights.

    Memory beside the gallery: a float32 [n, d] for each layer and one more, and the graph [n, k].

    Args:
      weights: [{name: array}], see gfr_layers.shapes.
      options: GFRConfig, resolved.
      block: rows that are worked on at a time; changes memory, not results.
    """

    def __init__(self, weights, options, block):
        self.weights, self.options, self.block = weights, options, block
        self.layer = gfr_layers.LAYERS[options.layer].layer

    def fit(self, x, ids):
        """Return the gallery's features.

        Args:
          x: float [n, d], unit rows; may be memory-mapped.
          ids: int [n, k], neighbours of each row among x, itself left out; -1 pads.
        """
        pieces, self._means = [self._enter(x)], []
        self._inputs = [pieces[0]]  # x of each layer: queries aggregate from these
        for number, weights in enumerate(self.weights, 1):
            h = self._propagate(pieces[0], self._inputs[-1], ids, weights, number)
            if self.options.pair_norm:
                self._means.append(h.mean(axis=0, dtype=np.float64).astype(np.float32) if len(h) else h.sum(axis=0))
                for b in self._blocks(len(h)):
                    h[b] = centred(h[b], self._means[-1])
            pieces.append(h)
            self._inputs.append(self._handed_on(h))
        self._inputs.pop()
        return self._feature(pieces)

    def transform(self, x, ids):
        """Return the features of queries, given the places of their neighbours in the gallery, int [q, k]."""
        return np.concatenate([self._transform_block(x[b], ids[b]) for b in self._blocks(len(x))])

    def _transform_block(self, queries, ids):
        x, b = gfr_layers.enter(np.asarray(queries, np.float32), self.weights), len(queries)
        pieces, needed, own = [x], np.unique(ids[ids >= 0]), np.arange(b)
        # Positions among [the queries; the gallery images that they need].
        near = np.where(ids >= 0, b + np.searchsorted(needed, ids), -1)
        member = gfr_layer.members(own, near, self.options.concate)
        for number, (inputs, weights) in enumerate(zip(self._inputs, self.weights), 1):
            rows = np.concatenate([x, np.asarray(inputs[needed], np.float32)])
            projected = gfr_layers.project(rows, weights)
            h = self.layer(weights, pieces[0], rows, projected, own, member, self.options, number)
            pieces.append(centred(h, self._means[number - 1]) if self.options.pair_norm else h)
            x = self._handed_on(pieces[-1])
        return self._feature(pieces)

    def _blocks(self, n):
        return [slice(first, min(first + self.block, n)) for first in range(0, n, self.block)]

    def _enter(self, x):
        if "I" not in self.weights[0]:
            return x
        result = np.empty(x.shape, np.float32)
        for b in self._blocks(len(x)):
            result[b] = gfr_layers.enter(np.asarray(x[b], np.float32), self.weights)
        return result

    def _propagate(self, first, rows, ids, weights, number):
        """Return h of every row, float32 [n, d]."""
        projected = rows
        if "P" in weights:
            projected = np.empty(rows.shape, np.float32)
            for b in progress(self._blocks(len(rows)), what="GFR: projecting", unit="block"):
                projected[b] = gfr_layers.project(np.asarray(rows[b], np.float32), weights)
        h = np.empty(rows.shape, np.float32)
        for b in progress(self._blocks(len(rows)), what="GFR: layer {}".format(number), unit="block"):
            own = np.arange(b.start, b.stop)
            member = gfr_layer.members(own, ids[b], self.options.concate)
            h[b] = self.layer(weights, np.asarray(first[b], np.float32), rows, projected, own, member, self.options,
                              number)
        return h

    def _handed_on(self, h):
        """Return the next layer's x."""
        return np.maximum(h, 0) if self.options.activate else h

    def _feature(self, pieces):
        """Return what is searched, made of x_0 and the layers' outputs."""
        how = gfr_options.jump(self.options)
        if how == "last":
            return pieces[-1]
        n, d = pieces[0].shape
        feature = np.empty((n, len(pieces) * d if how == "concat" else d), np.float32)
        for b in self._blocks(n):
            block = [np.asarray(p[b], np.float32) for p in pieces]
            feature[b] = gfr_layer.normalise(np.concatenate(block, axis=1) if how == "concat" else
                                             np.max(block[1:], axis=0))
        return feature


def centred(h, mean):
    """Return the rows minus `mean`, normalised again."""
    return gfr_layer.normalise(h - mean)
