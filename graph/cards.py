"""Graphics cards as faiss sees them: exact search on the first one, and what they can do at most.

Needs a build of faiss with GPU support; any other, or none, is a machine without cards.
"""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.notices import say_once
from slim_retrieval.graph import keys

MOST = 2048  # neighbours of a search, and lists that it looks into, that faiss's kernels bear
WORTH = 1e11  # products of numbers from which on a search repays a card's start: about a second on two cores
PIECE = 2**30  # bytes of the gallery that go to the card at a time
BLOCK = 2**27  # bytes of queries, likewise: for each block the gallery goes there once more


def import_faiss():
    """Return the module faiss, or None where it is not installed, or cannot be loaded: then a line says why."""
    try:
        import faiss
    except ImportError:
        return None
    except (RuntimeError, OSError) as error:  # a build for graphics cards without CUDA's libraries
        say_once("faiss is installed but cannot be loaded: {}".format(error))
        return None
    return faiss


def count():
    """Return how many cards faiss sees."""
    return getattr(import_faiss(), "get_num_gpus", lambda: 0)()


def worthwhile(queries, gallery, k):
    """Return whether an exact search is to be done on a card: there is enough to do, a card can, and there is one.

    Args:
      queries, gallery: [q, d] and [n, d].
      k: neighbours.
    """
    return len(queries) * gallery.size >= WORTH and k <= min(MOST, len(gallery)) and count() > 0


def block(d):
    """Return how many queries to hand over at a time."""
    return max(1, BLOCK // (4 * d))


class Search:
    """Search(...)(queries, gallery, k) gives (ids, similarities) as knn.search; it computes in float32 on one card.

    Among equal similarities the card decides which of them are left out at place k.
    """

    def __init__(self):
        self._faiss = import_faiss()
        self._resources = self._faiss.StandardGpuResources()

    def __call__(self, queries, gallery, k):
        best, step = [], max(k, PIECE // (4 * gallery.shape[1]))
        for start in range(0, len(gallery), step):
            piece = np.ascontiguousarray(gallery[start:start + step], np.float32)
            scores, ids = self._faiss.knn_gpu(self._resources, queries, piece, min(k, len(piece)),
                                              metric=self._faiss.METRIC_INNER_PRODUCT)
            best.append(keys.encode(np.clip(scores, -1, 1), ids + start))
            memory.release(gallery)
        found = np.concatenate(best, axis=1)
        found.sort(axis=1)
        return keys.decode(found[:, :k])
