"""Method "joint_diffusion": each query's mass is diffused over the gallery's graph when it is asked."""
import numpy as np

from slim_retrieval.graph import affinity, diffusion, features, manifold


class JointDiffusion:
    """Diffusion on the gallery's manifold for each query, by conjugate gradients.

    Iscen, Tolias, Avrithis, Furon and Chum, "Efficient Diffusion on Region Manifolds: Recovering Small Objects with
    Compact CNN Representations", CVPR 2017, with global features:

        (I - alpha S) f = (1 - alpha) y

    S and y as in manifold.py; images are ranked by f. Queries are the columns of one system, so a block of them shares
    every product with S. Images that no mass reaches (f = 0) follow in plain order. Nothing of a query stays behind.

    Args:
      k: neighbours that must be mutual to be joined; cut to the n - 1 that there are.
      query_neighbors: kq, gallery images that a query's mass lies on.
      gamma: exponent of similarities.
      alpha: strength, 0 <= alpha < 1.
      tolerance, max_iterations: of the solver, see diffusion.solve. The publication stops after 20 iterations.

    Attributes (after fit):
      matrix_: S, float32 CSR [n, n].
      report_: the graph; after a ranking also the solver's iterations and residual.
    """

    def __init__(self, k=50, query_neighbors=10, gamma=3.0, alpha=0.99, tolerance=1e-4, max_iterations=100):
        self.k = k
        self.query_neighbors = query_neighbors
        self.gamma = gamma
        self.alpha = alpha
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        return min(max(self.k, self.query_neighbors), n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Build the gallery's graph; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: computed.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        manifold.check(self.alpha, self.k, self.query_neighbors)
        self.original_ = features.check_features(gallery, "gallery")
        ids, similarities = manifold.near(self.original_, neighbors, self.needed_neighbors(len(gallery)))
        self.matrix_ = manifold.matrix((ids, similarities), self.k, self.gamma)
        self.near_ = np.array(ids[:, :self.query_neighbors]), np.array(similarities[:, :self.query_neighbors])
        self.report_ = {"edges_per_node": round(self.matrix_.nnz / len(gallery), 2),
                        "isolated_nodes": affinity.isolated(self.matrix_)}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = manifold.checked_queries(queries, self.original_)
        return manifold.rank(self.scores, self.original_, queries, k, self.query_neighbors, self.gamma)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query, with mass on its neighbours and not on itself."""
        return manifold.rank_gallery(self.scores, self.original_, self.near_, k, self.query_neighbors, self.gamma)

    def scores(self, mass):
        """Return f of each row of y, float32 [q, n], from CSR [q, n]."""
        solution, info = diffusion.solve(self.matrix_, self.alpha, mass.T.toarray(), self.tolerance,
                                         self.max_iterations)
        self.report_["solver"] = info
        return solution.T
