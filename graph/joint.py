"""One graph of gallery and queries: each node's nearest others, from the gallery's stored neighbours and two searches.

Node ids: gallery 0..n-1, queries n..n+q-1.
"""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn

ROWS = 4096  # nodes whose two lists are merged at a time


class Nodes:
    """Gallery and queries as one [n + q, d] array to take rows from, by slice or ids; neither is copied as a whole."""

    def __init__(self, gallery, queries):
        self.gallery = gallery
        self.queries = queries
        self.shape = (len(gallery) + len(queries), gallery.shape[1])

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, wanted):
        ids = np.arange(len(self))[wanted]
        rows = np.empty((len(ids), self.shape[1]), np.float32)
        ours = ids < len(self.gallery)
        rows[ours] = self.gallery[ids[ours]]
        rows[~ours] = self.queries[ids[~ours] - len(self.gallery)]
        return rows


def neighbors(gallery, queries, near, k):
    """Return the k nearest others of each node among gallery and queries: (ids, similarities), best first.

    Equal similarities are ordered by the smaller id; a node is never its own neighbour, its duplicates are. The same
    as knn.neighbors of both stacked, but the gallery is not searched for its own neighbours again, nor copied.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      queries: float32 [q, d], rows L2-normalised.
      near: (ids, similarities) of the gallery as from knn.neighbors; None or too few columns: searched.
      k: number of neighbours; where it exceeds n + q - 1 the rest is padded.

    Returns:
      ids: int32 [n + q, k]; -1 pads.
      similarities: float32 [n + q, k]; pads are -1.

    Raises:
      InputError: k is less than 1.
    """
    if k < 1:
        raise InputError("k is {}; a graph needs at least 1 neighbour".format(k))
    n, q = len(gallery), len(queries)
    own = knn.enough(near, gallery, min(k, n - 1))
    ids = np.full((n + q, k), -1, np.int32)
    similarities = np.full((n + q, k), -1, np.float32)
    _merge(own, knn.search(gallery, queries, min(k, q)), n, ids[:n], similarities[:n])
    _merge(knn.search(queries, gallery, min(k, n)), knn.neighbors(queries, min(k, q - 1)), n, ids[n:], similarities[n:])
    return ids, similarities


def _merge(gallery_list, query_list, n, ids, similarities):
    """Write the best of two (ids, similarities), both best first, into `ids` and `similarities`, which hold pads.

    Args:
      gallery_list, query_list: of the same nodes; the ids of the second count from the first query, node n.
    """
    for start in range(0, len(ids), ROWS):
        rows = slice(start, start + ROWS)
        found = np.concatenate([gallery_list[0][rows], query_list[0][rows]], axis=1)
        scores = np.concatenate([gallery_list[1][rows], query_list[1][rows]], axis=1)
        missing = found < 0
        found[:, gallery_list[0].shape[1]:] += n
        found[missing] = -1
        # A stable sort keeps ties by the smaller id: each list has them so, and the gallery's ids come first.
        order = np.argsort(np.where(missing, np.inf, -scores), axis=1, kind="stable")[:, :ids.shape[1]]
        ids[rows, :order.shape[1]] = np.take_along_axis(found, order, axis=1)
        similarities[rows, :order.shape[1]] = np.take_along_axis(scores, order, axis=1)
