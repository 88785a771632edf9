"""CFA with queries and gallery in one graph: the best ranking of a fixed set of queries, solved anew for each set."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import centring, features, joint, knn, ranking
from slim_retrieval.graph.cfa import CFA


class JointCFA:
    """Solve gallery and queries together and rank the gallery for each query.

    Args:
      **settings: of cfa.CFA, apart from `queries`.

    Attributes (after rank):
      report_: of the CFA that was fitted on both.
    """

    def __init__(self, **settings):
        self.settings = settings
        self.report_ = {}

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n gallery images are used."""
        return CFA(**self.settings).needed_neighbors(n)

    def fit(self, gallery, neighbors=None, labels=None, side=None, edge_features=None):
        """Keep the gallery and its graph for `rank`; return self.

        Raises:
          InputError: side information or edge features: they are about the gallery alone, a joint graph is not.
        """
        if side is not None or edge_features is not None:
            raise InputError("cfa.queries joint takes no side information and no edge features; choose appended")
        gallery = features.check_features(gallery, "gallery")
        self._mean = None if self.settings.get("levels") else centring.choose(gallery)
        self._gallery = centring.apply(gallery, self._mean)
        self._neighbors = neighbors if self._mean is None else centring.neighbors_of(neighbors, self._gallery)
        return self

    def graph_features(self, gallery):
        """Return the features whose neighbours `fit` takes, as CFA.graph_features."""
        return CFA(**self.settings).graph_features(gallery)

    def rank(self, queries, k):
        """Return int32 [q, k]: for each query the ids of the k best gallery images, best first, -1 pads.

        Memory: both feature sets are copied into one array.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self._gallery)
        n, model = len(self._gallery), CFA(**self.settings)
        width = min(model.needed_neighbors(n + len(queries)), n + len(queries) - 1)
        # Both without what the gallery has in common: then there is nothing left for `fit` to take away.
        queries = centring.apply(queries, self._mean)
        near = joint.neighbors(self._gallery, queries, self._neighbors, width)
        both = model.fit(np.concatenate([self._gallery, queries]), near).gallery_
        self.report_ = model.report_
        return ranking.rank(both[n:], both[:n], k)

    def rank_gallery(self, k):
        """Return int32 [n, k]: the ranking for each gallery image, itself left out; no query takes part."""
        model = CFA(**self.settings).fit(self._gallery, self._neighbors)
        return knn.neighbors(model.gallery_, k)[0]
