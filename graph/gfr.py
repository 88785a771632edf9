"""GFR, graph neural re-representation: learned layers that mix each feature with its neighbours'.

Training needs TensorFlow (gfr_training.py, imported when `learn` is called); applying learned weights needs NumPy.

    model = GFR(seed=0, neighbors=10, epochs=20)
    model.learn(train_features, train_labels)
    gallery = model.fit(gallery_features).gallery_
    queries = model.transform(query_features)       # then plain nearest neighbours: queries @ gallery.T
    model.save("gfr.npz");  model = GFR.load("gfr.npz")

The layer's equations are in gfr_layer.py, the losses in gfr_training.py.
"""
import dataclasses

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.method_schema import GFRConfig
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import features, gfr_file, gfr_layer, knn


class GFR:
    """Estimator of the GFR baseline `sage`.

    Args:
      seed: int; of the first weights and of the order of the batches.
      block: rows that are worked on at a time in `fit` and `transform`; changes memory, not results.
      **fields: fields of common.schema.GFRConfig. `checkpoint` is for the caller, who calls `load` instead.

    Attributes:
      weights_: list of gfr_layer.Layer, after `learn` or `load`.
      gallery_: float32 [n, d], or [n, (layers + 1) d] with `combine`; unit rows, after `fit`.
      report_: dict of the last training: loss, train_accuracy, epochs, seconds.

    Raises:
      InputError: unknown field, value out of range.
    """

    def __init__(self, seed=0, block=4096, **fields):
        self.seed, self.block = int(seed), int(block)
        self.options = _options(fields)
        self.weights_, self.gallery_, self.report_ = None, None, {}

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images a layer aggregates."""
        return min(self.options.neighbors, max(n - 1, 1))

    def learn(self, train, labels, neighbors=None):
        """Train the weights on labelled features; return self. A gallery must be fitted after it.

        Args:
          train: float [n, d], unit rows; may be memory-mapped.
          labels: [n], ints or strings.
          neighbors: (ids, similarities) of each row's neighbours among `train` as from knn.neighbors, best first, -1
            pads; the ids of the first k are taken. None: searched.

        Raises:
          InputError: shapes that do not fit, NaN, fewer than two classes, a loss that diverges.
        """
        from slim_retrieval.graph import gfr_training  # TensorFlow: only who trains needs it.
        train, labels = _checked(train, "train"), np.asarray(labels)
        if labels.shape != (len(train),):
            raise InputError("labels have shape {}, train features {}; give one label for each row".format(
                labels.shape, train.shape))
        classes, labels = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError("GFR learns from classes: the labels hold {}, at least 2 are needed".format(len(classes)))
        near = self._near(train, neighbors)
        self.weights_, self.report_ = gfr_training.train(train, near, labels, self.options, self.seed)
        self.gallery_ = None  # it would be of the weights before
        return self

    def fit(self, gallery, neighbors=None, labels=None):
        """Compute `gallery_`; return self.

        Args:
          gallery: float [n, d], unit rows; may be memory-mapped and may be empty.
          neighbors: as for `learn`, among `gallery`.
          labels: ignored; other methods take them.

        Memory, beside the gallery itself: an [n, d] float32 for each layer and one more, and the graph [n, k].

        Raises:
          InputError: no weights yet, widths that differ, neighbours that do not fit.
        """
        gallery = self._trained(gallery, "gallery")
        near = self._near(gallery, neighbors)
        pieces, inputs = [gallery], [gallery]
        for weights in self.weights_:
            pieces.append(self._propagate(inputs[-1], near, weights))
            inputs.append(self._handed_on(pieces[-1]))
        self._inputs = inputs[:-1]  # x of each layer: queries aggregate from these
        self.gallery_ = self._feature(pieces)
        return self

    def transform(self, queries, neighbors=None, alone=False):
        """Return the features of queries that are not in the gallery, float32 [q, width of gallery_].

        A query's neighbours are its k nearest gallery images by original features, for every layer. Layer l sees the
        query's own output of layer l - 1 and its neighbours' as `fit` computed them, so the gallery does not
        change when a query comes. A query without neighbours aggregates itself: same P, same W.

        Args:
          queries: float [q, d], unit rows.
          neighbors: (ids, similarities) in the gallery as from knn.search, best first, -1 pads. None: searched.
          alone: treat all queries as without neighbours.
        """
        if self.gallery_ is None:
            raise InputError("GFR has no gallery yet; call fit first")
        queries = self._trained(queries, "query")
        gallery, k = self._inputs[0], self.options.neighbors
        if alone or len(gallery) == 0 or len(queries) == 0:
            near = np.full((len(queries), 1), -1)
        elif neighbors is None:
            near = knn.search(queries, gallery, min(k, len(gallery)))[0]
        else:
            near = _checked_ids(neighbors[0], len(queries), len(gallery), min(k, len(gallery)))
        blocks = [self._transform_block(queries[b], near[b]) for b in self._blocks(len(queries))]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.gallery_.shape[1]), np.float32)

    def save(self, path):
        """Write weights, options, width and seed to `path` (.npz), complete or not at all."""
        if self.weights_ is None:
            raise InputError("GFR has no weights to save yet; call learn first")
        gfr_file.write(path, self.weights_, {"seed": self.seed, "width": len(self.weights_[0].P),
                                             "options": dataclasses.asdict(self.options), "report": self.report_})

    @classmethod
    def load(cls, path):
        """Return the GFR that `save` wrote.

        Raises:
          InputError: no such file, no GFR file, an option or a value that is not known, weights whose shapes
            contradict the file's own width and options.
        """
        arrays, meta = gfr_file.read(path)
        try:
            model = cls(meta["seed"], **meta["options"])
        except (InputError, TypeError, ValueError) as error:
            raise InputError("{}: {}".format(path, error)) from error
        shapes = gfr_layer.shapes(meta["width"], model.options.layers, model.options.concate)
        model.weights_, model.report_ = gfr_file.layers(path, arrays, shapes), meta["report"]
        return model

    def _trained(self, features, what):
        """Return the checked features; refuse when there are no weights for them."""
        if self.weights_ is None:
            raise InputError("GFR has no weights yet; call learn, or load a trained one (gfr.checkpoint)")
        return _checked(features, what, len(self.weights_[0].P))

    def _near(self, rows, neighbors):
        """Return neighbour ids int [n, k] among `rows`, self left out."""
        n = len(rows)
        k = min(self.options.neighbors, n - 1)
        if k <= 0:
            return np.full((n, 1), -1)
        if neighbors is None:
            return knn.neighbors(rows, k)[0]
        near = _checked_ids(neighbors[0], n, n, k)
        return np.where(near == np.arange(n)[:, None], -1, near)

    def _blocks(self, n):
        return [slice(first, min(first + self.block, n)) for first in range(0, n, self.block)]

    def _propagate(self, rows, near, weights):
        """Return h of every row of `rows`, float32 [n, d]. x P is computed once a node, then gathered."""
        projected = np.empty(rows.shape, np.float32)
        for b in progress(self._blocks(len(rows)), what="GFR: projecting", unit="block"):
            projected[b] = np.asarray(rows[b], np.float32) @ weights.P
        h = np.empty(rows.shape, np.float32)
        for b in progress(self._blocks(len(rows)), what="GFR: aggregating", unit="block"):
            own = np.arange(b.start, b.stop)
            member = gfr_layer.members(own, near[b], self.options.concate)
            h[b] = gfr_layer.layer(rows, projected, own, member, weights.W, self.options)
        return h

    def _transform_block(self, queries, near):
        pieces, x, b = [queries], np.asarray(queries, np.float32), len(queries)
        needed = np.unique(near[near >= 0])
        # Positions among [the queries; the gallery images that they need].
        near = np.where(near >= 0, b + np.searchsorted(needed, near), -1)
        own = np.arange(b)
        member = gfr_layer.members(own, near, self.options.concate)
        for inputs, weights in zip(self._inputs, self.weights_):
            rows = np.concatenate([x, np.asarray(inputs[needed], np.float32)])
            pieces.append(gfr_layer.layer(rows, rows @ weights.P, own, member, weights.W, self.options))
            x = self._handed_on(pieces[-1])
        return self._feature(pieces)

    def _handed_on(self, h):
        """Return the next layer's x."""
        return np.maximum(h, 0) if self.options.activate else h

    def _feature(self, pieces):
        """Return what is searched: the last piece, or all side by side."""
        if not self.options.combine:
            return pieces[-1]
        n, d = pieces[0].shape
        feature = np.empty((n, len(pieces) * d), np.float32)
        for b in self._blocks(n):
            feature[b] = gfr_layer.normalise(np.concatenate([np.asarray(p[b], np.float32) for p in pieces], axis=1))
        return feature


def _options(fields):
    """Return a GFRConfig of `fields`, each checked against the schema's choices and minimum."""
    known = {f.name: f for f in dataclasses.fields(GFRConfig)}
    for name, value in fields.items():
        spec = lookup(known, name, "option of GFR").metadata
        if spec.get("choices") and value not in spec["choices"]:
            raise InputError("gfr.{}: {!r} is not one of {}".format(name, value, ", ".join(spec["choices"])))
        numbers = value if name == "milestones" else [value]
        if spec.get("minimum") is not None and min(numbers, default=0) < spec["minimum"]:
            raise InputError("gfr.{}: {} is below {}".format(name, value, spec["minimum"]))
    options = GFRConfig(**fields)
    options.milestones = [float(share) for share in options.milestones]
    if len(options.milestones) > 2:
        raise InputError("gfr.milestones: {} given, at most 2 are used (rate x 0.5, then x 0.1); drop {}".format(
            len(options.milestones), options.milestones[2:]))
    return options


def _checked(array, what, width=None):
    """Return features as features.check_features does, but let a matrix without rows pass; refuse another width."""
    array = np.asarray(array)
    if array.ndim != 2 or len(array) > 0:
        array = features.check_features(array, what)
    if width is not None and array.shape[1] != width:
        raise InputError("{} features are {} wide, but GFR was trained on {}; extract both with the same model".format(
            what, array.shape[1], width))
    return array


def _checked_ids(ids, n, size, k):
    """Return the first k columns of neighbour ids [n, m], each from -1 to size - 1."""
    ids = ids if isinstance(ids, np.ndarray) else np.asarray(ids)
    if ids.ndim != 2 or len(ids) != n or ids.shape[1] < k or ids.dtype.kind not in "iu":
        raise InputError("neighbours have shape {} of {}, but ids of {} rows and at least {} columns are needed; "
                         "lower gfr.neighbors or search again".format(ids.shape, ids.dtype, n, k))
    ids = np.array(ids[:, :k], dtype=np.int64)
    if ids.size and not (ids.min() >= -1 and ids.max() < size):
        raise InputError("neighbour ids run from {} to {}, but there are {} images; search the neighbours "
                         "again".format(ids.min(), ids.max(), size))
    return ids
