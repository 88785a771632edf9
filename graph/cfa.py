"""Method "cfa": cascaded feature augmentation, diffusion of the features over the gallery's own graph."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import (
    affinity,
    cells,
    cfa_automatic,
    cfa_queries,
    diffusion,
    features,
    knn,
    side_information,
    signatures,
)
from slim_retrieval.graph.cfa_levels import check_levels, needed_neighbors
from slim_retrieval.graph.edges import EDGES, edges

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
    diffuses node signatures (signatures.py) instead of features, and sets the feature beside them, so that what the
    graph cannot tell is still told by the feature:

        gallery_ = normalise([X_l | residual x]),   a query's signature comes from its gallery neighbours'

    Args:
      levels: list of dicts with k (list of int), weights (one per k; empty: equal), alpha, cells; missing keys get
        the defaults k [30], weights [], alpha 0.95, cells 1. A k beyond n - 1 is cut to it. None or empty: automatic.
      residual: automatic only: weight of the feature beside the diffused signature of weight 1.
      gamma: exponent of similarities.
      edges: a name in edges.EDGES.
      graph_from: "original" or "previous": features that give each level's graph.
      queries: a name in cfa_queries.QUERIES: auto, appended, augmented, raw (joint: see cfa_joint.py). With graph_from
        "previous", levels after the first take appended queries as augmented ones: their graphs are of features that
        a query does not have. A query's own edges are its similarities also where the gallery's are denoised: rows
        are normalised, so the scale hardly matters (exact ones changed mAP by .002).
      query_neighbors: neighbours of augmented queries.
      tolerance, max_iterations: of the solver, see diffusion.solve.
      seed: of the k-means cells.

    Attributes (after fit):
      gallery_: float32 [n, d'], rows L2-normalised: the last level's output; d' = d, automatic: d' = width + d.
      levels_: the outputs of all levels; queries need each of them, so memory is levels x n x d x 4 bytes.
      report_: what happened at each level, as plain data.
    """

    def __init__(self, levels=None, residual=0.5, gamma=3.0, edges="mutual", graph_from="original",
                 queries="auto", query_neighbors=10, tolerance=1e-4, max_iterations=100, seed=0):
        self.levels = levels
        self.residual = residual
        self.gamma = gamma
        self.edges = edges
        self.graph_from = graph_from
        self.queries = queries
        self.query_neighbors = query_neighbors
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.seed = seed

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        return needed_neighbors(self.levels or cfa_automatic.levels(n), n)

    def fit(self, gallery, neighbors=None, labels=None, side=None, edge_features=None):
        """Diffuse the gallery; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors, or None to compute them; one with too
            few columns is computed again.
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
        self.original_ = features.check_features(gallery, "gallery")
        self.source_, self.side_ = self.original_, side
        if edge_features is not None:
            self.source_ = features.check_features(edge_features, "edge")
            if len(self.source_) != n:
                raise InputError("edge features have {} rows and the gallery has {}; they must match row by row".format(
                    len(self.source_), n))
        self.levels_, self.scales_, self.report_ = [], [], {"levels": []}
        widest = needed_neighbors(levels, n) if self.graph_from == "original" else max(levels[0]["k"])
        neighbors = knn.enough(neighbors, self.source_, widest)
        self.signatures_ = None
        if not self.levels:
            self.report_["chosen"] = cfa_automatic.reasons(levels, n, self.residual)
            self.signatures_ = signatures.signatures(self.source_, neighbors[0], neighbors[1], self.seed)
        self._run(levels, neighbors)
        self.gallery_ = self._beside(self.levels_[-1], self.original_)
        return self

    def _run(self, levels, neighbors):
        """Solve level after level; fill levels_ and report_."""
        current, source = self.original_ if self.signatures_ is None else self.signatures_, self.source_
        for level in levels:
            if self.levels_ and self.graph_from == "previous":
                neighbors, source = knn.neighbors(current, max(level["k"])), current
            current, report = self._fit_level(level, current, source, neighbors)
            self.levels_.append(current)
            self.report_["levels"].append(report)

    def transform(self, queries, edge_features=None):
        """Return the queries as the gallery's rows are, a new float32 [q, d']; the input is not changed.

        Args:
          queries: float32 [q, d], rows L2-normalised.
          edge_features: the queries' features of the kind that made the gallery's edges, where there are such.

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
        appended = self.queries == "appended" or self.queries == "auto" and not self.levels
        count = max([self.query_neighbors] + [scale["k"] for scales in self.scales_ for scale in scales])
        near = queries if edge_features is None else features.check_features(edge_features, "query edge")
        features.check_same_width(near, self.source_, "query edge")
        ids, similarities = knn.search(near, self.source_, min(count, len(self.source_)))
        current = queries if self.signatures_ is None else signatures.of_queries(ids, self.signatures_)
        for number, (output, level) in enumerate(zip(self.levels_, self.report_["levels"])):
            if appended and (number == 0 or self.graph_from == "original"):
                current = cfa_queries.appended(current, output, ids, similarities, self.scales_[number],
                                               level["alpha"], self.gamma)
            else:
                few = slice(0, self.query_neighbors)
                current = cfa_queries.augmented(current, output, ids[:, few],
                                                affinity.weights(similarities[:, few], self.gamma))
        return self._beside(current, queries)

    def _beside(self, diffused, original):
        """Return what is searched: the diffused rows, automatic with the feature beside the signature."""
        if self.signatures_ is None:
            return diffused
        share = np.array([1, self.residual], np.float32) / np.float32(np.hypot(1, self.residual))
        result = np.empty((len(diffused), diffused.shape[1] + original.shape[1]), np.float32)
        for start, stop in features.blocks(*result.shape):
            result[start:stop, :diffused.shape[1]] = diffused[start:stop] * share[0]
            result[start:stop, diffused.shape[1]:] = original[start:stop] * share[1]
        return result

    def _fit_level(self, level, current, source, neighbors):
        """Return (output of the level, its report)."""
        cell = None if level["cells"] == 1 else cells.cells(current, level["cells"], self.seed)
        total, solution, scales, reports = np.zeros(current.shape, np.float32), None, [], []
        tolerance = self.tolerance if self.levels else max(self.tolerance, cfa_automatic.TOLERANCE)
        for k, weight in zip(level["k"], level["weights"]):
            graph = _cut(edges(neighbors[0], neighbors[1], k, self.edges, features=source), cell)
            informed, about = side_information.apply(graph, self.side_, source)
            weighted = affinity.affinity(informed, self.gamma)
            # The scales' solutions are near each other: each starts from the one before.
            solution, info = diffusion.solve(affinity.normalised(weighted), level["alpha"], current, tolerance,
                                             self.max_iterations, initial=solution, out=solution)
            _add_normalised(total, solution, weight)
            reports.append(dict(info, k=k, edges_per_node=round(weighted.nnz / len(current), 2),
                                isolated_nodes=affinity.isolated(weighted), **({"side": about} if about else {})))
            scales.append({"k": k, "weight": weight, "reach": neighbors[1][:, k - 1].copy(),
                           "degree": np.asarray(weighted.sum(axis=1), np.float32).ravel(),
                           "length": np.sqrt(np.einsum("ij,ij->i", solution, solution))})
        self.scales_.append(scales)
        return features.normalise_rows(total), {"alpha": level["alpha"], "cells": level["cells"], "scales": reports}


def _cut(graph, cell):
    """Return the graph without the edges between different cells."""
    if cell is None:
        return graph
    pairs = graph.tocoo()
    kept = cell[pairs.row] == cell[pairs.col]
    return sparse.coo_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=graph.shape).tocsr()


def _add_normalised(total, solution, weight):
    """total += weight * normalise(solution), in blocks; `solution` stays as it is."""
    for start, stop in features.blocks(*total.shape):
        total[start:stop] += np.float32(weight) * features.normalise_rows(solution[start:stop].copy())
