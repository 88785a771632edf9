"""Method "superglobal": each query's shortlist is re-ordered by features that were refined within the shortlist."""
import numpy as np

from slim_retrieval.common.progress import progress
from slim_retrieval.graph import features, knn


class SuperGlobal:
    """Re-ranking of a shortlist by refined global features.

    Shao, Chen, Karpur, Cui, Araujo and Cao, "Global Features are All You Need for Image Retrieval and Reranking", ICCV
    2023, the re-ranking alone, as the authors' code has it. For a query q and its `shortlist` nearest images x_1..x_M:

        g_i = (x_i + beta sum_j s_ij x_j) / (1 + beta sum_j s_ij)     j: the k nearest to x_i within the shortlist
        a_i = q.g_i
        q'  = elementwise maximum of the k + 1 g_i of largest a_i
        score_i = (a_i + q'.g_i) / 2

    g and q' are not normalised. A similarity s_ij below 0 counts as 0; the authors' code lets it subtract, which with
    few images or features of mixed signs can turn the denominator to 0. Beyond the shortlist ids follow in plain order.

    Args:
      shortlist: M, images that are re-ordered; cut to those that there are. 0 changes nothing.
      k: neighbours that refine an image; q' is made of k + 1 images.
      beta: weight of the neighbours.

    Attributes (after fit):
      report_: the length of the shortlist.
    """

    def __init__(self, shortlist=400, k=9, beta=0.15):
        self.shortlist = shortlist
        self.k = k
        self.beta = beta

    def needed_neighbors(self, n):
        """Return 0: neighbours are looked for within the shortlist."""
        return 0

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery, float32 [n, d] with L2-normalised rows, which may be memory-mapped; return self."""
        self.original_ = features.check_features(gallery, "gallery")
        self.report_ = {"shortlist": min(self.shortlist, len(gallery))}
        return self

    def rank(self, queries, k):
        """Return int32 [q, k], gallery ids, best first, -1 pads.

        Memory, beside the gallery: the search's result, [q, max(k, shortlist)], and the features of one shortlist.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        return self._reordered(*knn.search(queries, self.original_, max(k, self.shortlist)))[:, :k]

    def rank_gallery(self, k):
        """Return int32 [n, k]: each gallery image as a query, itself left out by id, also from the shortlist."""
        return self._reordered(*knn.neighbors(self.original_, max(k, self.shortlist)))[:, :k]

    def _reordered(self, ids, similarities):
        """Return the rankings with their shortlists re-ordered, in place."""
        for row in progress(range(len(ids)), what="superglobal", unit="query"):
            short = ids[row, :self.shortlist]
            # By id, so that of equal scores the smaller id comes first. Pads are behind all others and stay there.
            order = np.argsort(short[short >= 0])
            scores = refined_scores(self.original_[short[order]], similarities[row, order], self.k, self.beta)
            short[:len(order)] = short[order[np.argsort(-scores, kind="stable")]]
        return ids


def refined_scores(rows, similarities, k, beta):
    """Return the score of each image of one shortlist, float32 [m].

    Args:
      rows: float32 [m, d], the shortlist's features, unit rows.
      similarities: float32 [m], of each row with the query.
      k, beta: see SuperGlobal.
    """
    m, k = len(rows), min(k, len(rows) - 1)
    if m == 0:
        return similarities
    among = rows @ rows.T
    np.fill_diagonal(among, -np.inf)  # a node's own weight is 1: it is no neighbour, also among duplicates
    near = np.argsort(-among, axis=1, kind="stable")[:, :k]
    weights = beta * np.maximum(np.take_along_axis(among, near, 1), 0)
    total = 1 + weights.sum(axis=1)

    def refined_products(products):
        """Return v.g_i from the products v.x_i: g is linear in x, so it need not be formed."""
        return (products + np.sum(weights * products[near], axis=1)) / total

    first = refined_products(similarities)
    best = np.argsort(-first, kind="stable")[:k + 1]
    refined = (rows[best] + np.einsum("ij,ijd->id", weights[best], rows[near[best]])) / total[best, None]
    return (first + refined_products(rows @ refined.max(axis=0))) / 2
