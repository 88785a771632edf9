"""Method "gnn_rerank": re-ranking by propagating neighbourhoods over the k-NN graph, sparse and in blocks."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, features, joint, knn, order

NORM_ROWS = 1024  # rows of the last layer formed at a time


class GNNRerank:
    """Re-ranking as a graph neural network without weights to learn.

    Zhang, Jiang, Zheng, Tan, Ding and Yang, "Understanding Image Retrieval Re-Ranking: A Graph Neural Network
    Perspective", arXiv 2012.07620, as the authors' code has it. With N_k(i) the k nearest nodes of i, itself first:

        A_ij = 1 for j in N_k1(i), else 0
        each layer: B = A + A^T,  A_i <- normalise(sum over j in N_k2(i) of (x_i.x_j)^alpha B_j)
        result: A_i.A_j, largest first

    Gallery and queries make up one graph, so a ranking depends on which queries were asked together; rank_gallery uses
    the gallery alone. Rankings are the authors' code's but for ties and for negative similarities among the k2, whose
    weight is 0 here. Images whose A has nothing in common with the query's follow by their similarity.

    No array over all pairs is held. The last layer's A is much denser than what it is made of: with W the weights
    (x_i.x_j)^alpha, products of its rows are rows of W B B W^T, formed from the sparse W and B for a block of queries
    at a time.

    Args:
      k1: nodes of a neighbourhood, itself included.
      k2: nodes that a layer sums over, itself included; at least 2.
      layers: at least 1.
      alpha: exponent of the similarities.

    Attributes (after fit):
      original_: the gallery as given, float32 [n, d].
      report_: k1 and k2 as used.
    """

    def __init__(self, k1=26, k2=7, layers=2, alpha=2.0):
        self.k1 = k1
        self.k2 = k2
        self.layers = layers
        self.alpha = alpha

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images the graph takes."""
        return min(max(self.k1, self.k2) - 1, n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery and its neighbours; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: searched.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        if self.k1 < 1 or self.k2 < 2 or self.layers < 1 or self.alpha < 0:
            raise InputError("gnn_rerank: k1 {}, k2 {}, layers {}, alpha {}; they must be at least 1, 2, 1 and "
                             "0".format(self.k1, self.k2, self.layers, self.alpha))
        self.original_ = features.check_features(gallery, "gallery")
        self.near_ = knn.enough(neighbors, self.original_, self.needed_neighbors(len(gallery)))
        self.report_ = {"k1": min(self.k1, len(gallery)), "k2": min(self.k2, len(gallery))}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads; complete where k is the size of the gallery.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        n, q = len(self.original_), len(queries)
        near = joint.neighbors(self.original_, queries, self.near_, self.needed_neighbors(n + q))
        return self._rank(queries, near, np.arange(n, n + q), k)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query in the gallery's own graph, itself left out by id."""
        own = np.arange(len(self.original_))
        return self._rank(self.original_, self.near_, own, k, left_out=own)

    def _rank(self, queries, near, nodes, k, left_out=None):
        """Rank the gallery for the queries, which are `nodes` of the graph."""
        n = len(self.original_)
        weights, neighbourhoods = propagated(near, self.k1, self.k2, self.layers, self.alpha)
        norms = _norms(weights, neighbourhoods)
        to_gallery = weights[:n]

        def score(rows):
            last = weights[nodes[rows]] @ neighbourhoods
            # B is symmetric. What it gives is hardly sparse any more: dense columns are quicker from here on.
            products = np.ascontiguousarray((to_gallery @ (last @ neighbourhoods).T.toarray()).T)
            products /= norms[nodes[rows], None] * norms[:n]
            plain = (queries[rows] @ self.original_.T - 1) / 2  # from -1 to 0: behind every product
            return np.where(products > 0, products, plain)

        return order.rank(score, len(queries), n, k, left_out, "GNN re-ranking")


def propagated(near, k1, k2, layers, alpha):
    """Return (W, B), float32 CSR [n, n]: the last layer's A is W B with normalised rows.

    Args:
      near: (ids, similarities) of the nodes, at least max(k1, k2) - 1 wide where n allows.
    """
    ids, similarities = (np.asarray(array) for array in near)
    weights = _with_self(ids[:, :k2 - 1], affinity.weights(similarities[:, :k2 - 1], alpha))
    current = _with_self(ids[:, :k1 - 1], np.ones(ids[:, :k1 - 1].shape, np.float32))
    for _ in range(layers - 1):
        current = weights @ (current + current.T.tocsr())
        current = sparse.diags(1 / _norms(current).astype(np.float32)) @ current
    return weights, (current + current.T).tocsr()


def _with_self(ids, values):
    """Return CSR [n, n] with `values` at each row's ids, pads left out, and 1 on the diagonal."""
    kept = ids >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    matrix = sparse.csr_matrix((values[kept], ids[kept], indptr), shape=(len(ids), len(ids)))
    return matrix + sparse.identity(len(ids), np.float32, format="csr")


def _norms(matrix, by=None):
    """Return the L2 norms of the rows of the CSR matrix, or of its product with `by`, which is never held whole."""
    norms = np.empty(matrix.shape[0], np.float32)
    for start in range(0, len(norms), NORM_ROWS):
        rows = matrix[start:start + NORM_ROWS] if by is None else matrix[start:start + NORM_ROWS] @ by
        norms[start:start + NORM_ROWS] = np.sqrt(rows.multiply(rows).sum(axis=1)).ravel()
    return norms
