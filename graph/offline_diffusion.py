"""Method "offline_diffusion": each gallery image's diffusion is solved beforehand; a query adds up a few of them."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.progress import progress
from slim_retrieval.graph import affinity, conjugate_gradients, features, manifold

GROUP = 32  # images solved together: their arrays, [union of their truncations, 32], stay in the processor's cache


class OfflineDiffusion:
    """Diffusion decoupled into an offline and an online process.

    Yang, Hinami, Matsui, Ly and Satoh, "Efficient Image Retrieval via Decoupling Diffusion into Online and Offline
    Processing", AAAI 2019. Offline, for each gallery image i with T_i itself and its nearest images, `truncation` in
    all ("late truncation": S is normalised on the whole graph):

        (I - alpha S[T_i, T_i]) f_i = e_i                    f_i: row i of the offline matrix, 0 outside T_i

    Online a query's scores are y^T F: the rows of its kq nearest images, weighted by similarity^gamma.
    Images of score 0 follow in plain order. A gallery image as a query is treated as an unseen one: its own row is not
    used, only its neighbours'. S and y as in manifold.py.

    This is `search_old` of the authors' code, whose k counts the image itself among its neighbours: its k = 50 is 49
    here. Its newer search puts queries and gallery into one graph and compares rows of F; an unseen query would then
    need the graph again.

    Memory: 8 bytes x n x truncation for F (CSR: float32 values, int32 ids); half as much again while fitting.

    Args:
      truncation: images in T_i, i included; cut to n, and then the solution is that of the whole graph.
      k: neighbours that must be mutual to be joined; cut to the n - 1 that there are.
      query_neighbors: kq, gallery images that a query's mass lies on.
      gamma: exponent of similarities.
      alpha: strength, 0 <= alpha < 1.
      tolerance, max_iterations: each system stops at this residual or after so many conjugate gradient steps.

    Attributes (after fit):
      offline_: F, float32 CSR [n, n].
      report_: the graph, the mean number of stored scores of an image, the groups that were solved together.
    """

    def __init__(self, truncation=1000, k=50, query_neighbors=10, gamma=3.0, alpha=0.99, tolerance=1e-6,
                 max_iterations=20):
        self.truncation = truncation
        self.k = k
        self.query_neighbors = query_neighbors
        self.gamma = gamma
        self.alpha = alpha
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images are used."""
        return min(max(self.truncation - 1, self.k, self.query_neighbors), n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Solve the truncated system of every gallery image; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: computed.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a setting or the gallery cannot be used.
        """
        manifold.check(self.alpha, self.k, self.query_neighbors)
        self.original_ = features.check_features(gallery, "gallery")
        n = len(gallery)
        ids, similarities = manifold.near(self.original_, neighbors, self.needed_neighbors(n))
        matrix = manifold.matrix((ids, similarities), self.k, self.gamma)
        self.near_ = np.array(ids[:, :self.query_neighbors]), np.array(similarities[:, :self.query_neighbors])
        members = np.concatenate([np.arange(n, dtype=np.int32)[:, None], ids[:, :self.truncation - 1]], axis=1)
        groups = group(members, GROUP)
        self.offline_ = solve(matrix, self.alpha, members, groups, self.tolerance, self.max_iterations)
        self.report_ = {"edges_per_node": round(matrix.nnz / n, 2), "isolated_nodes": affinity.isolated(matrix),
                        "scores_per_image": round(self.offline_.nnz / n, 1), "groups": len(groups)}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = manifold.checked_queries(queries, self.original_)
        return manifold.rank(self.scores, self.original_, queries, k, self.query_neighbors, self.gamma)

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query, by its neighbours' rows, itself left out by id."""
        return manifold.rank_gallery(self.scores, self.original_, self.near_, k, self.query_neighbors, self.gamma)

    def scores(self, mass):
        """Return y^T F of each row of y, float32 CSR [q, n], from CSR [q, n]."""
        return mass @ self.offline_


def group(members, size):
    """Return the rows of `members` as groups of at most `size`, each a row and those of its members still free.

    Images near each other have nearly the same members, so that their union, on which a group is solved, stays small.

    Args:
      members: int [n, m], the first of each row the row itself; -1 pads.

    Returns:
      list of int arrays that together hold each row once.
    """
    free, groups = np.ones(len(members), bool), []
    for row, candidates in enumerate(members):
        if free[row]:
            candidates = candidates[candidates >= 0]
            chosen = candidates[free[candidates]][:size]
            free[chosen] = False
            groups.append(chosen)
    return groups


def solve(matrix, alpha, members, groups, tolerance=1e-6, max_iterations=20):
    """Return F, float32 CSR [n, n]: row i solves (I - alpha S[T, T]) f = e_i on T = members[i].

    A group is solved at once on the union of its members: block conjugate gradients where each column's products are
    masked to its own members, which is the same as taking its submatrix. The matrix is cut out once for the group and
    a product serves all its columns.

    Args:
      matrix: S, float32 CSR [n, n].
      alpha: strength, 0 <= alpha < 1.
      members: int32 [n, m], the first of each row the row itself; -1 pads.
      groups: list of int arrays of rows, see `group`.
      tolerance, max_iterations: of a column's residual |e_i - A f|; most steps.
    """
    n, width = members.shape
    columns = np.where(members >= 0, members, np.arange(n, dtype=members.dtype)[:, None])  # pads: no new member
    values = np.zeros((n, width), np.float32)
    for rows in progress(groups, what="offline diffusion", unit="group"):
        union, places = np.unique(columns[rows], return_inverse=True)
        places, own = places.reshape(len(rows), width), np.arange(len(rows))
        mask = np.zeros((len(union), len(rows)), np.float32)
        mask[places, own[:, None]] = 1
        residual = np.zeros_like(mask)
        residual[places[:, 0], own] = 1
        solution = np.zeros_like(residual)
        conjugate_gradients.improve(_masked(matrix[union][:, union], alpha, mask), solution, residual,
                                    np.full(len(rows), tolerance), max_iterations)
        values[rows] = solution[places, own[:, None]]
    values[members < 0] = 0
    result = sparse.csr_matrix((values.ravel(), columns.ravel(), np.arange(n + 1) * width), shape=(n, n))
    result.eliminate_zeros()
    return result


def _masked(matrix, alpha, mask):
    """Return the product with I - alpha S on a union of members, zero in each column outside its own members."""
    def product(block):
        result = matrix @ block
        result *= mask
        result *= np.float32(-alpha)
        result += block
        return result
    return product
