"""Method "cfa": cascaded feature augmentation, diffusion of the features over the gallery's own graph."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import affinity, diffusion, features, knn, query_expansion
from slim_retrieval.graph.edges import EDGES, edges

GRAPH_FROM = {"original": "each level's graph comes from the input features",
              "previous": "each level's graph comes from the level before"}
CELL_BATCH = 4096  # images per step of the mini-batch k-means that cuts the gallery


class CFA:
    """Cascaded feature augmentation by diffusion (scikit-learn manner).

    The equations of the publication were not to be had; this is our specification. X_0 is the gallery. Level l with
    neighbours k_1..k_m, weights v_1..v_m, strength alpha and C cells:

        A_ij = max(0, x_i.x_j)^gamma on the edges within cells,   S = D^-1/2 A D^-1/2          (one per scale)
        (I - alpha S) Y_s = (1 - alpha) X_{l-1}
        X_l  = normalise(sum_s v_s normalise(Y_s) / sum_s v_s)

    With C > 1 k-means cuts the level's input into C cells and edges between cells are dropped; levels of different C
    bridge each other's cuts. A query is never part of the graph. Its top-kq neighbours j and weights
    w_j = max(0, q.x_j)^gamma are found once, by original features; then, level after level, it moves towards what its
    neighbours have become:

        q_0 = q,   q_l = normalise(q_{l-1} + normalise(sum_j w_j x^(l)_j))

    Args:
      levels: list of dicts with k (list of int), weights (one per k; empty: equal), alpha, cells; missing keys get
        the defaults k [30], weights [], alpha 0.95, cells 1. A k beyond n - 1 is cut to it.
      gamma: exponent of similarities.
      edges: a name in edges.EDGES.
      graph_from: "original" or "previous": features that give each level's graph.
      query_neighbors: kq.
      tolerance, max_iterations: of the solver, see diffusion.solve.
      seed: of the k-means cells.

    Attributes (after fit):
      gallery_: float32 [n, d], the last level's output, rows L2-normalised.
      levels_: the outputs of all levels; queries need each of them, so memory is levels x n x d x 4 bytes.
      report_: what happened at each level, as plain data.
    """

    def __init__(self, levels=None, gamma=3.0, edges="mutual", graph_from="original", query_neighbors=10,
                 tolerance=1e-4, max_iterations=100, seed=0):
        self.levels = levels
        self.gamma = gamma
        self.edges = edges
        self.graph_from = graph_from
        self.query_neighbors = query_neighbors
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.seed = seed

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images the levels use."""
        return needed_neighbors(self.levels, n)

    def fit(self, gallery, neighbors=None, labels=None):
        """Diffuse the gallery; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors, or None to compute them; one with too
            few columns is computed again.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        levels = check_levels(self.levels, len(gallery))
        lookup(EDGES, self.edges, "kind of edges")
        lookup(GRAPH_FROM, self.graph_from, "graph_from")
        self.original_ = features.check_features(gallery, "gallery")
        self.levels_, self.report_ = [], {"levels": []}
        widest = needed_neighbors(levels, len(gallery))
        if self.graph_from == "original":
            neighbors = _enough(neighbors, self.original_, widest)
        current = self.original_
        for level in levels:
            if self.graph_from == "previous":
                neighbors = _enough(neighbors if current is self.original_ else None, current, max(level["k"]))
            source = self.original_ if self.graph_from == "original" else current
            current, report = self._fit_level(level, current, source, neighbors)
            self.levels_.append(current)
            self.report_["levels"].append(report)
        self.gallery_ = current
        return self

    def transform(self, queries):
        """Return the augmented queries, a new float32 [q, d], rows L2-normalised; the input is not changed."""
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        count = min(self.query_neighbors, len(self.original_))
        ids, similarities = knn.search(queries, self.original_, count)
        weights = affinity.weights(similarities, self.gamma)
        for level in self.levels_:
            moved = features.normalise_rows(query_expansion.weighted_sum(level, ids, weights))
            moved += queries
            queries = features.normalise_rows(moved)
        return queries

    def _fit_level(self, level, current, source, neighbors):
        """Return (output of the level, its report)."""
        cells = _cells(current, level["cells"], self.seed)
        total, solution, scales = np.zeros(current.shape, np.float32), None, []
        for k, weight in zip(level["k"], level["weights"]):
            graph = edges(neighbors[0], neighbors[1], k, self.edges, features=source)
            weighted = affinity.affinity(_cut(graph, cells), self.gamma)
            # The scales' solutions are near each other: each starts from the one before.
            solution, info = diffusion.solve(affinity.normalised(weighted), level["alpha"], current, self.tolerance,
                                             self.max_iterations, initial=solution, out=solution)
            _add_normalised(total, solution, weight)
            scales.append(dict(info, k=k, edges_per_node=round(weighted.nnz / len(current), 2),
                               isolated_nodes=affinity.isolated(weighted)))
        return features.normalise_rows(total), {"alpha": level["alpha"], "cells": level["cells"], "scales": scales}


def check_levels(levels, num_images):
    """Return the levels with defaults filled in, k cut to n - 1 and weights of sum 1.

    Raises:
      InputError: no level, an unknown key, another number of weights than of k, weights of sum 0, alpha outside
        [0, 1), or more cells than images.
    """
    defaults = {"k": [30], "weights": [], "alpha": 0.95, "cells": 1}
    checked = []
    for number, given in enumerate([{}] if levels is None else levels):
        where = "cfa.levels.{}".format(number)
        for key in given:
            lookup(defaults, key, where + " key")
        level = dict(defaults, **given)
        weights = list(level["weights"]) or [1.0] * len(level["k"])
        if not level["k"] or min(level["k"]) < 1 or len(weights) != len(level["k"]):
            raise InputError("{}: {} weights for k {}; give each k (at least 1) one weight, or none at all".format(
                where, len(weights), list(level["k"])))
        if min(weights) < 0 or sum(weights) == 0:
            raise InputError("{}.weights: {} must not be negative or all 0".format(where, weights))
        if not 0 <= level["alpha"] < 1:
            raise InputError("{}.alpha: {} is out of range; it must be at least 0 and below 1".format(
                where, level["alpha"]))
        if not 1 <= level["cells"] <= num_images:
            raise InputError("{}.cells: {} cells for a gallery of {} images; choose from 1 to {}".format(
                where, level["cells"], num_images, num_images))
        level["k"] = [max(1, min(int(k), num_images - 1)) for k in level["k"]]
        level["weights"] = [weight / sum(weights) for weight in weights]
        checked.append(level)
    if not checked:
        raise InputError("cfa.levels: expected at least one level, such as [{k: [30], alpha: 0.95}]")
    return checked


def needed_neighbors(levels, num_images):
    """Return how many neighbours of each image the levels use."""
    return max(max(level["k"]) for level in check_levels(levels, num_images))


def _enough(neighbors, gallery, k):
    """Return the neighbours given if they are k wide (or as wide as the gallery allows), else compute them."""
    if neighbors is not None and neighbors[0].shape[1] >= min(k, len(gallery) - 1):
        return neighbors
    return knn.neighbors(gallery, k)


def _cells(current, count, seed):
    """Return the cell of each image, int [n], by seeded mini-batch k-means; None for one cell."""
    if count == 1:
        return None
    from sklearn.cluster import MiniBatchKMeans  # here: scikit-learn takes a second to import
    kmeans = MiniBatchKMeans(count, batch_size=CELL_BATCH, n_init=3, random_state=seed)
    return kmeans.fit_predict(np.ascontiguousarray(current))


def _cut(graph, cells):
    """Return the graph without the edges between different cells."""
    if cells is None:
        return graph
    pairs = graph.tocoo()
    kept = cells[pairs.row] == cells[pairs.col]
    return sparse.coo_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=graph.shape).tocsr()


def _add_normalised(total, solution, weight):
    """total += weight * normalise(solution), in blocks; `solution` stays as it is."""
    for start, stop in features.blocks(*total.shape):
        total[start:stop] += np.float32(weight) * features.normalise_rows(solution[start:stop].copy())
