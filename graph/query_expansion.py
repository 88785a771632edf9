"""Method "alpha_qe": a query is moved towards its nearest gallery images."""
import numpy as np

from slim_retrieval.graph import affinity, features, knn

BLOCK = 256  # queries at a time: block x k x d values are gathered


class AlphaQE:
    """Alpha query expansion: q' = normalise(q + sum_j max(0, q.x_j)^alpha x_j) over the k nearest gallery images.

    Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018, section 4.4.
    The query's own weight is 1, which is its similarity to itself. The gallery is not changed.

    Args:
      k: neighbours that expand the query.
      alpha: exponent of their similarity; 0 is average query expansion.
    """

    def __init__(self, k=10, alpha=3.0):
        self.k = k
        self.alpha = alpha

    def needed_neighbors(self, n):
        """Return 0: it takes no graph of the gallery."""
        return 0

    def fit(self, gallery, neighbors=None, labels=None):
        """Keep the gallery, float32 [n, d] with L2-normalised rows, as `gallery_`; return self."""
        self.gallery_ = features.check_features(gallery, "gallery")
        self.report_ = {"k": min(self.k, len(gallery))}
        return self

    def transform(self, queries):
        """Return the expanded queries, a new float32 [q, d]; the input is not changed."""
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.gallery_)
        ids, similarities = knn.search(queries, self.gallery_, min(self.k, len(self.gallery_)))
        moved = weighted_sum(self.gallery_, ids, affinity.weights(similarities, self.alpha))
        moved += queries
        return features.normalise_rows(moved)


def weighted_sum(gallery, ids, weights):
    """Return sum_j weights_ij gallery[ids_ij] as a new float32 [q, d].

    Args:
      gallery: [n, d] float32; may be memory-mapped.
      ids: int [q, k], no pads.
      weights: float32 [q, k].
    """
    result = np.empty((len(ids), gallery.shape[1]), np.float32)
    for start in range(0, len(ids), BLOCK):
        rows = gallery[ids[start:start + BLOCK]]
        result[start:start + BLOCK] = np.matmul(weights[start:start + BLOCK, None, :], rows)[:, 0]
    return result
