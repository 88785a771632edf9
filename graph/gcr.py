"""Method "gcr": graph convolution re-ranking, a few rounds of normalised averaging over the k-NN graph."""
import numpy as np

from slim_retrieval.common.errors import lookup
from slim_retrieval.graph import features, joint, knn, query_expansion

QUERIES = {"joint": "gallery and queries make up one graph, as published",
           "inductive": "the gallery's graph stays its own; each query is propagated by what the gallery was"}


CLOSE = 1e-3  # 1 - s of neighbours that float32's products, wrong by about 1e-7, no longer order


class GCR:
    """Graph convolution re-ranking: each round replaces every feature by an average over its neighbourhood.

    Zhang, Qian, Wang, Wang, Chen and Fang, "Graph Convolution Based Efficient Re-Ranking for Visual Retrieval", TMM
    2023, as the authors' code has it (mode `nonsym`), without what it takes from camera labels (the neighbours from
    other cameras and the profile vectors). With X_0 the features and N(i) the k nearest other nodes of i and i itself,
    by the features of the round before,

        S_ij = exp(x_i.x_j / beta) for j in N(i),      L = D_row^-1/2 S D_col^-1/2,      X_t = normalise(L X_{t-1})

    where D_row and D_col hold the sums of S's rows and columns. Published: nodes are gallery and queries together. Then
    a ranking depends on which queries were asked together, and rank() propagates the gallery anew.

    `inductive` is ours: the gallery is propagated alone, and a query that nobody counts as a neighbour gets in round t
    its k nearest among X_{t-1}. Its column sum, which it does not have, is taken to be its row sum; it would be for a
    symmetric S.

    Args:
      k: neighbours besides the node itself. The published 15 (k1 of the authors' settings for person images) counts it.
      beta: temperature of the similarities.
      rounds: how often features are propagated; each round after the first searches the neighbours again.
      queries: a name in QUERIES.

    Attributes (after fit):
      gallery_: float32 [n, d], unit rows: the gallery propagated alone, computed when first asked for.
      report_: the k and the rounds used.

    Memory: joint, two arrays [n + q, d]; inductive, one array [n, d] a round.
    """

    def __init__(self, k=14, beta=0.2, rounds=3, queries="joint"):
        self.k = k
        self.beta = beta
        self.rounds = rounds
        self.queries = queries

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images a round averages."""
        return min(self.k, n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery and its neighbours; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: searched.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: unknown `queries`, a gallery that cannot be used.
        """
        lookup(QUERIES, self.queries, "treatment of queries")
        self.original_ = features.check_features(gallery, "gallery")
        k = self.needed_neighbors(len(gallery))
        self.near_ = knn.enough(neighbors, self.original_, k)
        self._levels = None
        self.report_ = {"k": k, "rounds": self.rounds, "queries": self.queries}
        return self

    @property
    def gallery_(self):
        return self._gallery_levels()[-1][0]

    def transform(self, queries):
        """Return queries propagated one by one (`inductive`), float32 [q, d], unit rows; see `gallery_`."""
        queries = self._checked(queries)
        levels = self._gallery_levels()
        for (level, _), (_, columns) in zip(levels, levels[1:]):
            ids, similarities = knn.search(queries, level, min(self.k, len(level)))
            strengths = _strengths(ids, similarities, self.beta)
            rows = 1 + strengths.sum(axis=1, keepdims=True)
            weights = strengths / np.sqrt(rows * columns[ids])
            moved = query_expansion.weighted_sum(level, ids, weights.astype(np.float32))
            moved += queries / rows.astype(np.float32)
            queries = features.normalise_rows(moved)
        return queries

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = self._checked(queries)
        if self.queries == "inductive":
            return ranked(self.transform(queries), self.gallery_, k)
        n, nodes = len(self.original_), np.concatenate([self.original_, queries])
        near = joint.neighbors(self.original_, queries, self.near_, min(self.k, len(nodes) - 1))
        for _ in range(self.rounds):
            nodes = propagate(nodes, self.k, self.beta, near)[0]
            near = None
        return ranked(nodes[n:], nodes[:n], k)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query in the gallery's own graph, itself left out by id."""
        gallery = self.gallery_
        return resolved(gallery, gallery, *knn.neighbors(gallery, k))

    def _checked(self, queries):
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        return queries

    def _gallery_levels(self):
        """Return [(X_t, column sums of the round that made it)], X_0 first; computed once."""
        if self._levels is None:
            self._levels, near = [(self.original_, None)], self.near_
            for _ in range(self.rounds):
                self._levels.append(propagate(self._levels[-1][0], self.k, self.beta, near))
                near = None
        return self._levels


def propagate(nodes, k, beta, near=None):
    """Return (X_t, D_col) from X_{t-1}: a new float32 [n, d] with unit rows, and the column sums, float64 [n].

    Args:
      nodes: float32 [n, d], unit rows; may be memory-mapped; not changed.
      k: neighbours besides the node itself; cut to n - 1.
      beta: temperature.
      near: (ids, similarities) of the k nearest or more, as from knn.neighbors; None: searched.
    """
    n, k = len(nodes), min(k, len(nodes) - 1)
    ids, similarities = knn.enough(near, nodes, k)
    ids, similarities = np.asarray(ids[:, :k]), similarities[:, :k]
    strengths = np.concatenate([np.ones((n, 1)), _strengths(ids, similarities, beta)], axis=1)
    ids = np.concatenate([np.arange(n)[:, None], ids], axis=1)
    columns = np.bincount(ids.ravel() % n, strengths.ravel(), n)  # pads (-1) have strength 0
    weights = strengths / np.sqrt(strengths.sum(axis=1, keepdims=True) * columns[ids])
    return features.normalise_rows(query_expansion.weighted_sum(nodes, ids, weights.astype(np.float32))), columns


def ranked(queries, gallery, k):
    """Return int32 [q, k]: each query's k nearest gallery rows, best first, -1 pads; see `resolved`."""
    return resolved(queries, gallery, *knn.search(queries, gallery, k))


def resolved(queries, gallery, ids, similarities):
    """Return the ids, each row's close neighbours put in the order of their distances; in place.

    The rounds draw a cluster together until 1 - s is as small as the rounding of a product in float32. The features
    still tell its members apart: distances taken in float64 have all of float32's digits.
    """
    for query, row, scores in zip(queries, ids, similarities):
        close = row[scores > 1 - CLOSE]  # the first ones: a row is sorted
        distances = np.sum((gallery[close].astype(np.float64) - query) ** 2, axis=1)
        row[:len(close)] = close[np.lexsort((close, distances))]
    return ids


def _strengths(ids, similarities, beta):
    """Return exp((s - 1) / beta) as float64, 0 for pads.

    The 1 scales all of S alike, which L does not see, and keeps the exponential of a small beta finite; a node's own
    strength is then 1.
    """
    return np.where(ids >= 0, np.exp((np.asarray(similarities, np.float64) - 1) / beta), 0)
