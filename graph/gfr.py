"""GFR, graph neural re-representation: learned layers that mix each feature with its neighbours'.

Training a network needs TensorFlow (imported when `learn` needs it); layers edge and applying what was learned do not.

    model = GFR(seed=0)                              # layers edge; GFR(layer="sage", ...): the published ones
    model.learn(train_features, train_labels)        # or learn(gallery_features): without labels
    gallery = model.fit(gallery_features).gallery_
    queries = model.transform(query_features)        # then plain nearest neighbours: queries @ gallery.T
    model.save("gfr.npz");  model = GFR.load("gfr.npz")

    features -> metric (gfr_metric.py) -> neighbours -> layers: gfr_edge.py, or a network of gfr_layers.py
"""
import dataclasses

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import (
    gfr_chosen,
    gfr_edge,
    gfr_file,
    gfr_inputs,
    gfr_labelled,
    gfr_metric,
    gfr_metric_learning,
    gfr_network,
    gfr_options,
    knn,
)


class GFR:
    """Estimator of GFR.

    Args:
      seed: int; of the first weights, the order of the batches, and which classes are held out.
      block: rows of a network that are worked on at a time; changes memory, not results.
      **fields: fields of GFRConfig. `checkpoint` is for the caller, who calls `load` instead.

    Attributes:
      version: raised when the same settings would learn otherwise than before.
      options: GFRConfig with nothing left to choose.
      gallery_: float32 [n, width of the feature], unit rows, after `fit`.
      report_: dict of the last training; after `fit` also `chosen`, what was chosen and why, one sentence each.

    Raises:
      InputError: unknown field, value out of range, fields that exclude each other.
    """

    version = 4

    def __init__(self, seed=0, block=4096, **fields):
        self.seed, self.block = int(seed), int(block)
        self.options = gfr_options.resolve(fields)
        self.width_, self.metric_, self.weights_, self.edges_ = None, None, None, None
        self.gallery_, self.report_ = None, {}

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are of use: 0 where they are looked for behind a metric."""
        behind = self.options.metric != "none" if self.width_ is None else self.metric_ is not None
        return 0 if behind else min(self.options.neighbors, max(n - 1, 1))

    def learn(self, train, labels=None, neighbors=None, resume=None):
        """Learn from features; return self. A gallery must be fitted after it.

        Args:
          train: float [n, d], unit rows; may be memory-mapped.
          labels: [n], ints or strings; None: learned without, from the gallery itself for example.
          neighbors: (ids, similarities) of each row's neighbours among `train` as from knn.neighbors, best first, -1
            pads; the ids of the first k are taken. None: searched. Not used where there is a metric.
          resume: file that a network's training writes after each epoch, and goes on from where it was stopped: with
            bit-equal weights on a CPU. Deleted at the end. Layers edge take less time and begin anew.

        Raises:
          InputError: shapes that do not fit, NaN, fewer than two classes, a loss that diverges or that needs labels.
        """
        train = gfr_inputs.checked(train, "train")
        if labels is not None:
            labels = gfr_inputs.dense_labels(labels, train)
        self.gallery_, self._layers = None, None  # they would be of the weights before
        self.width_, self.metric_, self.weights_, self.edges_ = train.shape[1], None, [], None
        if self.options.loss == "unsupervised" or labels is not None and self._singles(labels):
            labels = None
        if self.options.layer == "edge":
            self._learn_edges(train, labels)
        else:
            self._learn_network(train, labels, neighbors, resume)
        return self

    def _singles(self, labels):
        """Return whether layers edge have no pair to learn from; networks can tell single images apart."""
        return self.options.layer == "edge" and np.bincount(labels).max() < 2

    def fit(self, gallery, neighbors=None, labels=None):
        """Compute `gallery_`; return self.

        Args:
          gallery: float [n, d], unit rows; may be memory-mapped and may be empty.
          neighbors: as for `learn`, among `gallery`.
          labels: ignored; other methods take them.

        Memory, beside the gallery itself: [n, r] float32 with a metric, what gfr_edge.EdgeLayers or
        gfr_network.Network say, and the graph [n, k].

        Raises:
          InputError: nothing learned yet, widths that differ, neighbours that do not fit.
        """
        gallery = self._trained(gallery, "gallery")
        self._h = gfr_metric.apply(self.metric_, gallery)
        near = self._near(self._h, neighbors)
        if self.edges_ is not None:
            self._layers = gfr_edge.EdgeLayers(self.edges_)
            self.gallery_ = self._layers.fit(self._h, near)
        else:
            self._layers = gfr_network.Network(self.weights_, self.options, self.block)
            self.gallery_ = self._layers.fit(self._h, near[0])
        self.report_["chosen"] = gfr_chosen.sentences(self.options, self.report_, self.edges_,
                                                      getattr(self._layers, "effective", None), self._centred())
        return self

    def transform(self, queries, neighbors=None, alone=False):
        """Return the features of queries that are not in the gallery, float32 [q, width of gallery_].

        A query's neighbours are its k nearest gallery images (behind the metric), for every layer; the gallery does
        not change when a query comes.

        Args:
          queries: float [q, d], unit rows.
          neighbors: (ids, similarities) in the gallery as from knn.search, best first, -1 pads. None: searched. Not
            used where there is a metric.
          alone: treat all queries as without neighbours, as the option queries "alone" does; they pass through the
            same weights.
        """
        if self.gallery_ is None:
            raise InputError("GFR has no gallery yet; call fit first")
        queries = self._trained(queries, "query")
        if len(queries) == 0:
            return np.zeros((0, self.gallery_.shape[1]), np.float32)
        h, k = gfr_metric.apply(self.metric_, queries), min(self.options.neighbors, len(self._h))
        if self.edges_ is not None:
            k = max(min(k, len(self._h) - 1), 0)  # as wide as the gallery's lists, which edges compare
        if alone or self.options.queries == "alone" or k == 0:
            near = gfr_inputs.nobody(len(h), max(k, 1))
        elif neighbors is None or self.metric_ is not None:
            near = knn.search(h, self._h, k)
        else:
            near = self._given(neighbors, h, len(self._h), k)
        if self.edges_ is None:
            return self._layers.transform(h, near[0])
        return self._layers.transform(h, near) if len(self._h) else np.array(h, np.float32)

    def save(self, path):
        """Write what was learned, options, width and seed to `path` (.npz), complete or not at all."""
        if self.width_ is None:
            raise InputError("GFR has no weights to save yet; call learn first")
        gfr_file.write(path, self.weights_, self.metric_, self.edges_, {
            "seed": self.seed, "width": self.width_, "options": dataclasses.asdict(self.options),
            "report": {name: value for name, value in self.report_.items() if name != "chosen"}})

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
        model.weights_, model.metric_, model.edges_ = gfr_file.weights(path, arrays, meta["width"], model.options)
        model.width_, model.report_ = meta["width"], meta["report"]
        return model

    def _learn_edges(self, train, labels):
        if labels is None:
            learned = gfr_labelled.without_labels(train, self.options, self.seed)
        else:
            learned = gfr_labelled.learn(train, labels, self.options, self.seed)
        self.metric_, self.edges_, self.report_ = learned

    def _learn_network(self, train, labels, neighbors, resume):
        from slim_retrieval.graph import gfr_training  # TensorFlow: only who trains needs it.
        options, report = self.options, {}
        if labels is None:
            options = dataclasses.replace(options, loss="unsupervised")
        elif options.metric == "lda":
            self.metric_, _, _, report = gfr_metric_learning.learn(train, labels, options, self.seed)
        h = gfr_metric.apply(self.metric_, train)
        near = self._near(h, neighbors)[0]
        self.weights_, trained = gfr_training.train(h, near, labels, options, self.seed, resume)
        about = {"images": len(train)} if labels is None else {"images": len(train), "classes": int(labels.max()) + 1}
        self.report_ = dict(report, labels=labels is not None, **dict(about, **trained))

    def _centred(self):
        """Return the norm of the mean that is taken away, or None."""
        return None if self.metric_ is None else float(np.linalg.norm(self.metric_.mean))

    def _trained(self, rows, what):
        """Return the checked features; refuse when there are no weights for them."""
        if self.width_ is None:
            raise InputError("GFR has no weights yet; call learn, or load a trained one (gfr.checkpoint)")
        return gfr_inputs.checked(rows, what, self.width_)

    def _near(self, h, neighbors):
        """Return (ids, similarities) [n, k] of the neighbours among `h`, self left out."""
        n = len(h)
        k = min(self.options.neighbors, n - 1)
        if k <= 0:
            return gfr_inputs.nobody(n, 1)
        if neighbors is None or self.metric_ is not None:
            return knn.neighbors(h, k)
        ids, similarities = self._given(neighbors, h, n, k)
        return np.where(ids == np.arange(n)[:, None], -1, ids), similarities

    def _given(self, neighbors, h, size, k):
        """Return the neighbours that were given, cut to k columns; only layers edge look at similarities."""
        ids = gfr_inputs.checked_ids(neighbors[0], len(h), size, k)
        if self.edges_ is None:
            return ids, None
        return ids, np.array(neighbors[1][:, :k], np.float32)
