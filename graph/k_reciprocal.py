"""Method "k_reciprocal": re-ranking by the Jaccard distance of k-reciprocal encodings, sparse and in blocks."""
import numpy as np
from scipy import sparse

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edges, features, joint, order, self_join

KEPT = 2**24  # products of queries and gallery that are kept from the graph for the distances: 64 MB


class KReciprocal:
    """k-reciprocal encoding re-ranking.

    Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, as the
    authors' Python code has it. With R*(i) the expanded k-reciprocal set (edges.k_reciprocal_sets; an expansion needs
    an overlap of more than 2/3, where the paper has at least) and N(i) the k2 - 1 nearest others of i and i itself:

        d_ij = |x_i - x_j|^2 / max_l |x_i - x_l|^2 = (1 - x_i.x_j) / (1 - min_l x_i.x_l)
        V_ij = exp(-d_ij) / sum_l exp(-d_il) for j, l in R*(i), else 0      (the code divides; the paper does not)
        V_i <- mean of V_j over N(i)                                        (equation 11)
        J_ij = 1 - m / (2 - m),  m = sum_l min(V_il, V_jl)                  (equation 10; the rows of V sum to 1)
        result: (1 - lambda) J_ij + lambda d_ij, smallest first             (equation 12)

    Gallery and queries make up one graph, so a ranking depends on which queries were asked together; rank_gallery uses
    the gallery alone. Rankings are the authors' code's but for ties: in a list of neighbours a node is here always its
    own first, also among exact duplicates, and equal distances are ordered by id.

    No array over all pairs is held. V is sparse; sums of minima are formed from V's columns as an inverted index, for a
    block of queries at a time. The largest distances cost one pass over half of all pairs, which gives the neighbours
    too: a stored graph is of no use here.

    Args:
      k1: neighbours that k-reciprocal sets are made of.
      k2: nodes that an encoding is averaged over, itself included; 1 does not average.
      lambda_value: weight of the original distance, from 0 to 1. With 0, images without any overlap follow by it.

    Attributes (after fit):
      original_: the gallery as given, float32 [n, d].
      report_: k1 and k2 as used.
    """

    def __init__(self, k1=20, k2=6, lambda_value=0.3):
        self.k1 = k1
        self.k2 = k2
        self.lambda_value = lambda_value

    def needed_neighbors(self, n):
        """Return 0: no stored graph is used, see above."""
        return 0

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery, its neighbours and its largest distances; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors, labels: not used.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.lambda_value <= 1:
            raise InputError("k_reciprocal: k1 {}, k2 {}, lambda_value {}; k1 and k2 must be at least 1 and "
                             "lambda_value from 0 to 1".format(self.k1, self.k2, self.lambda_value))
        self.original_ = features.check_features(gallery, "gallery")
        ids, similarities, self.least_ = self_join.join(self.original_, self._width(len(gallery)))
        self.near_ = ids, similarities
        self.report_ = {"k1": min(self.k1, len(gallery) - 1), "k2": min(self.k2, len(gallery))}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads; complete where k is the size of the gallery.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        n, q = len(self.original_), len(queries)
        products = np.empty((q, n), np.float32) if q * n <= KEPT else None
        ids, similarities, least = self_join.extend(self.original_, queries, self.near_, self.least_,
                                                    self._width(n + q), products)
        encoded = encodings(joint.Nodes(self.original_, queries), (ids, similarities), least, self.k1, self.k2)
        return self._rank(queries, least[n:], encoded[n:], encoded[:n], k, products=products)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query in the gallery's own graph, itself left out by id."""
        encoded = encodings(self.original_, self.near_, self.least_, self.k1, self.k2)
        own = np.arange(len(self.original_))
        return self._rank(self.original_, self.least_, encoded, encoded, k, left_out=own)

    def _width(self, nodes):
        """Return how many neighbours of each of so many nodes the encodings take."""
        return max(1, min(max(self.k1, self.k2 - 1), nodes - 1))

    def _rank(self, queries, least, query_encodings, gallery_encodings, k, left_out=None, products=None):
        inverted = gallery_encodings.T.tocsr()

        def score(rows):
            shared = overlaps(query_encodings[rows], inverted)
            similarities = queries[rows] @ self.original_.T if products is None else products[rows]
            memory.release(queries, self.original_)
            return -self._distances(similarities, least[rows], shared)

        return order.rank(score, len(queries), len(self.original_), k, left_out, "k-reciprocal re-ranking")

    def _distances(self, similarities, least, shared):
        """Return the result's distances of a block of queries to the gallery, float32 [b, n]."""
        original = 1 - similarities
        original /= _spread(least)[:, None]
        jaccard = 1 - shared / (2 - shared)
        if self.lambda_value == 0:
            return np.where(shared > 0, jaccard, 1 + original)
        return (1 - self.lambda_value) * jaccard + self.lambda_value * original


def encodings(nodes, near, least, k1, k2):
    """Return V, float32 CSR [n, n] with rows of sum 1.

    Args:
      nodes: float32 [n, d] or joint.Nodes.
      near: (ids, similarities) of the nodes, at least max(k1, k2 - 1) wide where n allows.
      least: float32 [n], each node's smallest similarity to any.
    """
    ids, similarities = near
    sets = edges.k_reciprocal_sets(ids, k1, strict=True)
    rows = np.repeat(np.arange(len(ids)), np.diff(sets.indptr))
    values = np.ones(sets.nnz, np.float32)  # a node's similarity to itself
    others = rows != sets.indices
    values[others] = edges.pair_similarities(rows[others], sets.indices[others], ids, similarities, nodes)
    values = np.exp((values - 1) / _spread(least)[rows])
    values /= np.repeat(np.add.reduceat(values, sets.indptr[:-1]), np.diff(sets.indptr))
    encoded = sparse.csr_matrix((values, sets.indices, sets.indptr), shape=sets.shape)
    return averaging(ids, k2) @ encoded


def averaging(ids, k):
    """Return float32 CSR [n, n] that averages over each node and its k - 1 nearest others."""
    members = edges.nearest(ids, k - 1) + sparse.identity(len(ids), np.int32, format="csr")
    counts = np.diff(members.indptr)
    return sparse.csr_matrix((np.repeat(1 / counts, counts).astype(np.float32), members.indices, members.indptr),
                             shape=members.shape)


def overlaps(rows, inverted):
    """Return sum_l min(rows_il, V_jl) for all i and j, float32 [b, n].

    Args:
      rows: CSR [b, m], the encodings of a block of queries.
      inverted: CSR [m, n], the transpose of V: for each l the nodes j with V_jl > 0.
    """
    lists = inverted[rows.indices]  # one list for each value of the block
    minima = np.minimum(lists.data, np.repeat(rows.data, np.diff(lists.indptr)))
    # A matrix that holds an entry more than once: toarray() adds them up, in compiled code.
    return sparse.csr_matrix((minima, lists.indices, lists.indptr[rows.indptr]),
                             shape=(rows.shape[0], inverted.shape[1])).toarray()


def _spread(least):
    """Return 1 - least, above 0: where all nodes are equal every distance is 0."""
    return np.maximum(1 - least, np.finfo(np.float32).tiny)
