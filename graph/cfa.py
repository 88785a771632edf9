"""Method "cfa": cascaded feature augmentation, diffusion of the features over the gallery's own graph."""
import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import (
    affinity,
    centring,
    cfa_automatic,
    cfa_graph,
    cfa_queries,
    cfa_strength,
    features,
    growth_state,
    knn,
    signatures,
)
from slim_retrieval.graph.cfa_levels import check_levels, needed_neighbors
from slim_retrieval.graph.cfa_solve import solve_level
from slim_retrieval.graph.edges import EDGES

GRAPH_FROM = {"original": "each level's graph comes from the input features",
              "previous": "each level's graph comes from the level before"}


class CFA:
    """Cascaded feature augmentation by diffusion (scikit-learn manner).

    The equations of the publication were not to be had; this is our specification. X_0 is the gallery. Level l with
    neighbours k_1..k_m, weights v_1..v_m, strength alpha and C cells:

        A_ij = max(0, x_i.x_j)^gamma on the edges within cells,   S = D^-1/2 A D^-1/2          (one per scale)
        (I - alpha S) Y_s = (1 - alpha) X_{l-1}
        X_l  = normalise(sum_s v_s normalise(Y_s) / sum_s v_s)

    With C > 1 k-means cuts the level's input into C cells and edges between cells are dropped; levels of different C
    bridge each other's cuts. A query is not part of the graph: cfa_queries.py says what is done with it instead, and
    cfa_joint.py solves queries and gallery together for those who ask for that.

    With no level given, CFA chooses by itself and `report_["chosen"]` says what and why (cfa_automatic.py). It then
    takes away what all features have in common (centring.py), diffuses node signatures (signatures.py) and features
    side by side over the sum of many graphs, A = sum_k A_k / k, more gently where neighbours do not come to agree, and
    adds the feature itself again, so that what the graph cannot tell is still told by the feature:

        gallery_ = normalise([Y_signature | 0.4 (Y_feature + residual x)]),   both Y normalised by row

    A query is treated in the same way; its signature comes from its nearest gallery image, and its residual is larger
    where its nearest images disagree.

    Args:
      levels: list of dicts with k (list of int), weights (one per k; empty: equal), alpha, cells; missing keys get
        the defaults k [30], weights [], alpha 0.95, cells 1. A k beyond n - 1 is cut to it. None or empty: automatic.
      residual: automatic only: weight of the feature as it was, beside the diffused one of weight 1.
      gamma: exponent of similarities.
      edges: a name in edges.EDGES.
      graph_from: "original" or "previous": features that give each level's graph.
      queries: a name in cfa_queries.QUERIES: auto, appended, augmented, raw (joint: see cfa_joint.py). With graph_from
        "previous", levels after the first take appended queries as augmented ones: their graphs are of features that
        a query does not have. A query's own edges are its similarities also where the gallery's are denoised: rows
        are normalised, so the scale hardly matters (exact ones changed mAP by .002).
      query_neighbors: neighbours of augmented queries.
      tolerance, max_iterations, storage: of the solver, see diffusion.solve.
      seed: of the k-means cells; automatic: of the random images of the signatures.
      keep: whether to keep what growth.update needs: the neighbours, and where a level has several scales the solution
        of each.

    Attributes (after fit):
      gallery_: float32 [n, d'], rows L2-normalised: the last level's output; d' = d, automatic: d' = width + d.
      levels_: the outputs of all levels; queries need each of them, so memory is levels x n x d x 4 bytes. Automatic:
        one, told from gallery_ (cfa_automatic.Output).
      report_: what happened at each level, as plain data.
      growth_: dict (growth_state.py), or None without `keep`.
    """

    def __init__(self, levels=None, residual=1.0, gamma=3.0, edges="mutual", graph_from="original",
                 queries="auto", query_neighbors=10, tolerance=1e-4, max_iterations=100, storage="float32", seed=0,
                 keep=False):
        self.levels = levels
        self.residual = residual
        self.gamma = gamma
        self.edges = edges
        self.graph_from = graph_from
        self.queries = queries
        self.query_neighbors = query_neighbors
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.storage = storage
        self.seed = seed
        self.keep = keep

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        needed = needed_neighbors(self.levels or cfa_automatic.levels(n), n)
        return min(needed + growth_state.SPARE, max(n - 1, 1)) if self.keep else needed

    def graph_features(self, gallery):
        """Return the features whose neighbours `fit` takes: the gallery, automatic perhaps centred."""
        return gallery if self.levels else centring.apply(gallery, centring.choose(gallery))

    def fit(self, gallery, neighbors=None, labels=None, side=None, edge_features=None):
        """Diffuse the gallery; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of graph_features(gallery) as from knn.neighbors, or None to compute them; ones
            of other features, or with too few columns, are computed again.
          labels: not used; the method is unsupervised.
          side: a side_information.Side that changes the edges of every scale, or None.
          edge_features: float32 [n, any width], rows L2-normalised, that make the edges instead of the gallery's own;
            `neighbors` are then theirs.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        n = len(gallery)
        levels = check_levels(self.levels or cfa_automatic.levels(n), n)
        lookup(EDGES, self.edges, "kind of edges")
        lookup(cfa_queries.QUERIES, self.queries, "treatment of queries")
        lookup(GRAPH_FROM, self.graph_from, "graph_from")
        self.mean_, self.original_ = self._centred(features.check_features(gallery, "gallery"))
        self.edge_mean_, self.source_ = self.mean_, self.original_
        if edge_features is not None:
            if len(edge_features) != n:
                raise InputError("edge features have {} rows and the gallery has {}; they must match row by row".format(
                    len(edge_features), n))
            self.edge_mean_, self.source_ = self._centred(features.check_features(edge_features, "edge"))
        self.side_, self.levels_, self.systems_, self.report_ = side, [], [], {"levels": []}
        widest = needed_neighbors(levels, n) if self.graph_from == "original" else max(levels[0]["k"])
        if self.edge_mean_ is not None:
            neighbors = centring.neighbors_of(neighbors, self.source_)
        enough = max(widest, self.needed_neighbors(n)) if self.keep else widest
        neighbors = knn.enough(neighbors, self.source_, enough)
        self._run(levels, neighbors)
        self.growth_ = growth_state.collect(self, gallery, neighbors, widest) if self.keep else None
        return self

    def _centred(self, array):
        """Return (mean or None, features): automatic, what all have in common is taken away."""
        mean = None if self.levels else centring.choose(array)
        return mean, centring.apply(array, mean)

    def _run(self, levels, neighbors):
        """Solve level after level; fill levels_, gallery_ and report_."""
        current, source, settings = self.original_, self.source_, dict(vars(self))
        self.signatures_, self.parts_ = None, [slice(0, current.shape[1])]
        if not self.levels:
            self.signatures_ = signatures.signatures(source, neighbors[0], neighbors[1], self.seed)
            self.parts_ = cfa_automatic.columns(self.signatures_.shape[1], current.shape[1])
            settings["tolerance"] = max(self.tolerance, cfa_automatic.TOLERANCE)
            self._run_automatic(levels[0], source, neighbors, settings)
            return
        for level in levels:
            if self.levels_ and self.graph_from == "previous":
                neighbors, source = knn.neighbors(current, max(level["k"])), current
            current, systems, report = solve_level(level, [current], source, neighbors, self.parts_, settings,
                                                   self.side_)
            self.levels_.append(current)
            self.systems_.append(systems)
            self.report_["levels"].append(report)
        self.gallery_ = current

    def _run_automatic(self, level, source, neighbors, settings):
        """Solve one level for signatures and features, gently where neighbours would not agree."""
        nested = cfa_graph.nested(level["k"], neighbors, settings, self.side_)
        strength, agreed = cfa_strength.choose(level, self.signatures_, source, neighbors, settings, self.side_, nested)
        level = dict(level, alpha=strength[0])
        output, systems, report = solve_level(level, [self.signatures_, self.original_], source, neighbors, self.parts_,
                                              settings, self.side_, strength[1], nested=nested)
        self.systems_, self.report_["levels"] = [systems], [report]
        self.report_["chosen"] = cfa_automatic.reasons(level, strength, agreed, self.residual, self.mean_)
        self.gallery_ = cfa_automatic.combine(output, self.original_, self.parts_, self.residual)
        self.levels_ = [cfa_automatic.Output(self.gallery_, self.original_, self.parts_, self.residual)]

    def transform(self, queries, edge_features=None, search=knn.search):
        """Return the queries as the gallery's rows are, a new float32 [q, d']; the input is not changed.

        Args:
          queries: float32 [q, d], rows L2-normalised.
          edge_features: the queries' features of the kind that made the gallery's edges, where there are such.
          search: what finds the queries' nearest images in source_, called as knn.search.

        Raises:
          InputError: widths that differ, or a treatment of queries that has no answer here.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        if self.queries == "raw":
            if self.signatures_ is not None:
                raise InputError("cfa.queries: raw queries cannot be compared with signatures; give cfa.levels, or "
                                 "choose appended")
            return queries
        near = queries if edge_features is None else features.check_features(edge_features, "query edge")
        features.check_same_width(near, self.source_, "query edge")
        return self.moved(centring.apply(queries, self.mean_), centring.apply(near, self.edge_mean_), search)

    def moved(self, original, near, search=knn.search):
        """Return what `transform` does, for queries as rows of original_ and of source_ are, float32 [q, d']."""
        count = max([self.query_neighbors] + [graph["k"] for systems in self.systems_ for system in systems
                                              for graph in system["graphs"]])
        ids, similarities = search(near, self.source_, min(count, len(self.source_)))
        current = original
        if self.signatures_ is not None:
            current = np.concatenate([signatures.of_queries(ids, self.signatures_), original], axis=1)
        for number, output in enumerate(self.levels_):
            current = self._ask(number, current, output, ids, similarities)
        if self.signatures_ is None:
            return current
        weights = cfa_automatic.residual_of_queries(ids, self.levels_[-1], self.residual, self.parts_[0])
        return cfa_automatic.combine(current, original, self.parts_, weights)

    def _ask(self, number, current, output, ids, similarities):
        """Return the queries after level `number`."""
        if (self.queries == "appended" or self.queries == "auto" and not self.levels) and (
                number == 0 or self.graph_from == "original"):
            return cfa_queries.appended(current, output, ids, similarities, self.systems_[number], self.parts_,
                                        self.report_["levels"][number]["alpha"], self.gamma)
        few = slice(0, self.query_neighbors)
        return cfa_queries.augmented(current, output, ids[:, few], affinity.weights(similarities[:, few], self.gamma),
                                     self.parts_)
