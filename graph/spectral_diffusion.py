"""Method "spectral_diffusion": diffusion by a few eigenvectors of the gallery's graph, so a query costs a product."""
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, features, manifold

BELOW = -2.0  # where known eigenvalues are moved, out of the way: all others lie in [-1, 1]
LANCZOS_TOLERANCE = 1e-6  # relative, of the eigenvalues


class SpectralDiffusion:
    """Fast spectral ranking: the inverse of the diffusion as a filter on the eigenvalues of S, cut to rank r.

    Iscen, Avrithis, Tolias, Furon and Chum, "Fast Spectral Ranking for Similarity Search", CVPR 2018:

        S = U L U^T,   h(l) = (1 - alpha) / (1 - alpha l),   scores = U h(L) U^T y

    S and y as in manifold.py. With all n eigenvectors this is joint_diffusion exactly. With r of them (the largest
    eigenvalues: h falls with them) what of y is orthogonal to these is lost, and that is what tells images apart that
    the graph ties closely: small classes suffer. `remainder` keeps it as if its eigenvalues were 0, which most nearly
    are; the publication does not. Scores of 0 or less are left-overs of the cut: their images follow in plain order.
    Scores are inner products of rows whose lengths count, so the method re-orders and does not give unit features.

    The eigenvectors of the graph's connected parts need no search: D^1/2 on a part, with eigenvalue 1, or an isolated
    image alone, with 0. They are kept beside the r, one value an image, and moved out of the search: Lanczos iterations
    find many eigenvectors of one eigenvalue slowly or not at all, and a part without its own would be out of reach.

    Memory: 4 x n x r bytes; while fitting 8 x n x 2 r, the Lanczos basis. Its upkeep, a multiple of n r^2 steps, takes
    the time: a few hundred eigenvectors are cheap, a thousand are not.

    Args:
      eigenvectors: r, beside those of the connected parts; cut to the n - parts that there are.
      k: neighbours that must be mutual to be joined; cut to the n - 1 that there are.
      query_neighbors: kq, gallery images that a query's mass lies on.
      gamma: exponent of similarities.
      alpha: strength, 0 <= alpha < 1.
      remainder: whether what is orthogonal to the eigenvectors counts, with h(0).
      seed: of the vector that the Lanczos iterations start from.

    Attributes (after fit):
      eigenvalues_, eigenvectors_: float32 [r], falling, and [n, r], columns of length 1.
      parts_: float32 CSR [n, parts], the eigenvectors of the connected parts.
      report_: the graph, its parts, r and the smallest eigenvalue of the r.
    """

    def __init__(self, eigenvectors=500, k=50, query_neighbors=10, gamma=3.0, alpha=0.99, remainder=False,
                 seed=0):
        self.eigenvectors = eigenvectors
        self.k = k
        self.query_neighbors = query_neighbors
        self.gamma = gamma
        self.alpha = alpha
        self.remainder = remainder
        self.seed = seed

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        return min(max(self.k, self.query_neighbors), n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Decompose the gallery's graph; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: computed.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        manifold.check(self.alpha, self.k, self.query_neighbors)
        if self.eigenvectors < 0:
            raise InputError("eigenvectors is {}; it must be at least 0".format(self.eigenvectors))
        self.original_ = features.check_features(gallery, "gallery")
        n = len(gallery)
        ids, similarities = manifold.near(self.original_, neighbors, self.needed_neighbors(n))
        affinities = manifold.affinities((ids, similarities), self.k, self.gamma)
        self.near_ = np.array(ids[:, :self.query_neighbors]), np.array(similarities[:, :self.query_neighbors])
        matrix = affinity.normalised(affinities)
        self.parts_, known = parts(affinities)
        self.eigenvalues_, self.eigenvectors_ = decompose(matrix, self.parts_, known, self.eigenvectors, self.seed)
        self.orthogonal_ = np.float32(1 - self.alpha) if self.remainder else np.float32(0)
        self.filter_ = self._transfer(self.eigenvalues_) - self.orthogonal_
        self.parts_filter_ = sparse.diags(self._transfer(known) - self.orthogonal_, format="csr")
        self.report_ = {"edges_per_node": round(matrix.nnz / n, 2), "isolated_nodes": affinity.isolated(matrix),
                        "parts": self.parts_.shape[1], "eigenvectors": len(self.eigenvalues_),
                        "smallest_eigenvalue": float(self.eigenvalues_[-1]) if len(self.eigenvalues_) else None}
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
        """Return U h(L) U^T y of each row of y, float32 [q, n], from CSR [q, n]; 0 in parts that have no mass."""
        own_parts = (mass @ self.parts_ @ self.parts_filter_ @ self.parts_.T).toarray()
        result = ((mass @ self.eigenvectors_) * self.filter_) @ self.eigenvectors_.T
        result += own_parts
        result[own_parts == 0] = 0  # eigenvectors of one eigenvalue mix parts, and cancel to rounding only
        return result + (mass * self.orthogonal_).toarray() if self.remainder else result

    def _transfer(self, eigenvalues):
        """Return h."""
        return ((1 - self.alpha) / (1 - self.alpha * np.minimum(eigenvalues, 1))).astype(np.float32)


def parts(affinities):
    """Return (V, eigenvalues): the eigenvectors of S that belong to the connected parts of A.

    Args:
      affinities: A, float32 CSR [n, n], symmetric, not negative, zero diagonal.

    Returns:
      V: float32 CSR [n, parts], columns of length 1, one value in each row.
      eigenvalues: float32 [parts]: 1, or 0 for an isolated node.
    """
    count, part = csgraph.connected_components(affinities, directed=False)
    degrees = np.asarray(affinities.sum(axis=1, dtype=np.float64)).ravel()
    values = np.where(degrees > 0, np.sqrt(degrees), 1)
    values /= np.sqrt(np.bincount(part, values ** 2, count))[part]
    vectors = sparse.csr_matrix((values.astype(np.float32), part, np.arange(len(part) + 1)), shape=(len(part), count))
    return vectors, (np.bincount(part, degrees, count) > 0).astype(np.float32)


def decompose(matrix, known_vectors, known_values, count, seed):
    """Return the largest eigenvalues of S beside the known ones, and their eigenvectors: float32 [r] and [n, r].

    Args:
      matrix: S, float32 CSR [n, n], symmetric.
      known_vectors, known_values: float32 CSR [n, m] and float32 [m], eigenvectors to leave out.
      count: r; cut to n - m.
      seed: of the starting vector.
    """
    n, known = known_vectors.shape
    count = min(count, n - known)
    matrix, vectors = matrix.astype(np.float64), known_vectors.astype(np.float64)
    shift = BELOW - known_values.astype(np.float64)
    if count == 0:
        return np.zeros(0, np.float32), np.zeros((n, 0), np.float32)
    if 2 * count >= n:  # U itself is then half of n x n or more
        dense = matrix.toarray() + (vectors @ sparse.diags(shift) @ vectors.T).toarray()
        found = np.linalg.eigh(dense)
    else:
        def product(x):
            return matrix @ x + vectors @ (shift * (vectors.T @ x))

        operator = linalg.LinearOperator((n, n), matvec=lambda x: product(x.ravel()), dtype=np.float64)
        start = np.random.RandomState(seed).standard_normal(n)
        found = linalg.eigsh(operator, count, which="LA", v0=start, tol=LANCZOS_TOLERANCE)
    largest = np.argsort(-found[0], kind="stable")[:count]
    return found[0][largest].astype(np.float32), found[1][:, largest].astype(np.float32)
