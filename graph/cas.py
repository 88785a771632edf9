"""Method "cas": cluster-aware similarity diffusion; images are compared as distributions over their neighbourhoods."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cas_distances, cas_encoding, features, joint, manifold, order, self_join

COUNTS = ("k1", "k2", "k3", "k4", "k5", "width")
TIES = 1e-6  # weight of the original distance where it is to count only between equal ones


class CAS:
    """Re-ranking by cluster-aware similarity diffusion.

    Luo, Yao and Xu, "Cluster-Aware Similarity Diffusion for Instance Retrieval", ICML 2024, as the authors' code has it
    (jifeiluo/reranking; names and defaults are those of its `cas_reranking`):

        d_ij = (1 - x_i.x_j) / (1 - min_l x_i.x_l)            squared distance over the row's largest
        W_ij = exp(-d_ij / sigma^2) on the k1 nearest, doubled for mutual ones (confident neighbours)
        F    = bidirectional similarity diffusion of W        cas_encoding.diffuse
        f_i  = F_i on i's expanded k2-reciprocal set (its local cluster), 0 elsewhere
        f    = neighbour-guided similarity smoothing of f     cas_encoding.smooth, k3; then rows of sum 1
        f    = mean over neighbours, kept to k5 values        cas_encoding.expand, k4
        D_ij = JS(f_i, f_j), the Jensen-Shannon divergence; or shortest paths of it over `path_neighbors` nearest
        result: (1 - lambda) D_qj + lambda d_qj, smallest first

    k1, k3, k4 and path_neighbors count the node itself; the half of k2 that a set is expanded by is rounded where the
    code cuts it. The paths belong to what became the authors' next work (Luo et al., "Locality Preserving Markovian
    Transition for Instance Retrieval", ICML 2025), but the code of this one runs them, and they help; with
    path_neighbors = 0 images are ranked by the divergence itself.

    The authors hold a dozen dense n x n arrays. Here all is sparse but the final distances of a block of queries. One
    thing is approximated: F keeps the `width` largest values of a row while it is iterated (see `diffuse`); with
    width >= n, or where rows do not fill so far, rankings are theirs but for ties. JS is exact: it is 1 where two
    distributions share nothing, and else is summed over what they share.

    Gallery and queries make up one graph, so a ranking depends on which queries were asked together; rank_gallery uses
    the gallery alone. The rows' largest distances cost a pass over all pairs, the paths one search of the graph for
    each query (some 4 ms for 3,500 images).

    Args:
      k1: neighbours of the graph that is diffused over; mutual ones are confident.
      k2: others that reciprocal sets are made of.
      k3: neighbours of the transitions that smooth.
      k4: neighbours that are averaged.
      k5: values that are kept of an average; at most k5^2 make up a distribution.
      sigma: width of the kernel.
      mu: weight of the fit to the identity; the diffusion's strength is 1 / (1 + mu).
      lambda_value: weight of the original distance, from 0 to 1; where D is equal, images follow by it even with 0.
      path_neighbors: nearest whose divergences are steps of paths; 0: no paths.
      width: values kept in a row of F; less than k2 cuts the local clusters.

    Attributes (after fit):
      report_: the k's, path_neighbors and width as used.
    """

    def __init__(self, k1=5, k2=20, k3=25, k4=6, k5=25, sigma=0.3, mu=0.23, lambda_value=0.3, path_neighbors=100,
                 width=200):
        self.k1 = k1
        self.k2 = k2
        self.k3 = k3
        self.k4 = k4
        self.k5 = k5
        self.sigma = sigma
        self.mu = mu
        self.lambda_value = lambda_value
        self.path_neighbors = path_neighbors
        self.width = width

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        return min(max(self.k2, *(k - 1 for k in (self.k1, self.k3, self.k4, self.path_neighbors))), n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery, its neighbours and its largest distances; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: computed.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        self._check()
        self.original_ = features.check_features(gallery, "gallery")
        n = len(gallery)
        self.near_ = manifold.near(self.original_, neighbors, self.needed_neighbors(n))
        self.least_ = self_join.least_similarities(self.original_)
        self.report_ = {name: min(getattr(self, name), n) for name in COUNTS + ("path_neighbors",)}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads; complete where k is the size of the gallery.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = manifold.checked_queries(queries, self.original_)
        nodes = joint.Nodes(self.original_, queries)
        near = joint.neighbors(self.original_, queries, self.near_, max(1, self.needed_neighbors(len(nodes))))
        return self._rank(queries, near, self_join.least_similarities(nodes, self.least_), k)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query in the gallery's own graph, itself left out by id."""
        return self._rank(self.original_, self.near_, self.least_, k, left_out=np.arange(len(self.original_)))

    def _check(self):
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise InputError("{} is {}; it must be at least 1".format(name, getattr(self, name)))
        if self.path_neighbors < 0:
            raise InputError("path_neighbors is {}; it must be at least 0".format(self.path_neighbors))
        if self.sigma <= 0 or self.mu <= 0 or not 0 <= self.lambda_value <= 1:
            raise InputError("sigma {}, mu {}, lambda_value {}; sigma and mu must be above 0 and lambda_value from 0 "
                             "to 1".format(self.sigma, self.mu, self.lambda_value))

    def _rank(self, queries, near, least, k, left_out=None):
        """Return the rankings of the last len(queries) nodes of a graph whose first nodes are the gallery."""
        order.check_depth(k)
        n, spread = len(self.original_), _spread(least)
        encoded = cas_encoding.encode(near, spread, self.k1, self.k2, self.k3, self.k4, self.k5, self.sigma, self.mu,
                                      self.width)
        nodes = np.arange(len(least) - len(queries), len(least))
        moved = self._moved(encoded, near[0], n)

        def scores(rows):
            original = (1 - queries[rows] @ self.original_.T) / spread[nodes[rows], None]
            share = self.lambda_value or TIES
            return -((1 - share) * moved(nodes[rows]) + share * original)

        return order.rank(scores, len(queries), n, k, left_out, "cas")

    def _moved(self, encoded, ids, n):
        """Return a function from node ids to their D to the gallery, the first n nodes: float32 [b, n]."""
        if self.path_neighbors == 0:
            inverted = encoded[:n].T.tocsr()
            return lambda nodes: 1 - cas_distances.shared_information(encoded[nodes], inverted)
        graph = cas_distances.divergence_graph(encoded, ids[:, :self.path_neighbors - 1])
        return lambda nodes: cas_distances.path_lengths(graph, nodes)[:, :n]


def _spread(least):
    """Return 1 - least; where all nodes are equal but for rounding, 1, so that distances are rounding and not noise."""
    return np.where(least < 1 - 1e-5, 1 - least, 1).astype(np.float32)
