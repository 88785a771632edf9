"""Method "dba": every gallery image, and every query, is moved towards its nearest gallery images."""
import numpy as np

from slim_retrieval.graph import affinity, features, knn, query_expansion


class DBA:
    """Database-side feature augmentation with weights s^alpha: x' = normalise(x + sum_j max(0, x.x_j)^alpha x_j).

    j runs over the image's k nearest other gallery images. Queries are expanded in the same way by the k nearest images
    of the gallery as it was given, and are searched in the augmented gallery.

    Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012 (all weights
    1: alpha 0); Gordo, Almazan, Revaud and Larlus, "End-to-end Learning of Deep Visual Representations for Image
    Retrieval", IJCV 2017 (weights falling with the rank); the weights s^alpha are those of alpha query expansion
    (Radenovic et al., TPAMI 2018, section 4.4).

    Args:
      k: neighbours that augment an image; cut to the n - 1 that there are. 0 changes nothing.
      alpha: exponent of their similarity; neighbours of similarity 0 or less have no weight, whatever alpha.
      expand_queries: whether queries are expanded; else they are searched as they are.

    Attributes (after fit):
      gallery_: float32 [n, d], unit rows.
      report_: the k used.
    """

    def __init__(self, k=20, alpha=3.0, expand_queries=True):
        self.k = k
        self.alpha = alpha
        self.expand_queries = expand_queries

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images augment it."""
        return min(self.k, n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Augment the gallery; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: searched.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: the gallery cannot be used.
        """
        self.original_ = features.check_features(gallery, "gallery")
        k = self.needed_neighbors(len(gallery))
        ids, similarities = knn.enough(neighbors, self.original_, k)
        self.gallery_ = self._augmented(self.original_, ids[:, :k], similarities[:, :k])
        self.report_ = {"k": k}
        return self

    def transform(self, queries):
        """Return the expanded queries, float32 [q, d], unit rows; the input is not changed.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        k = min(self.k, len(self.original_))
        if k == 0 or not self.expand_queries:
            return queries
        return self._augmented(queries, *knn.search(queries, self.original_, k))

    def _augmented(self, rows, ids, similarities):
        """Return normalise(x + sum_j s_j^alpha x_j) of each row, x_j from the original gallery."""
        moved = query_expansion.weighted_sum(self.original_, np.asarray(ids),
                                             affinity.weights(similarities, self.alpha))
        for start, stop in features.blocks(*moved.shape):
            moved[start:stop] += rows[start:stop]
        return features.normalise_rows(moved)
