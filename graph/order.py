"""From scores to rankings, a block of queries at a time."""
import numpy as np

from slim_retrieval.common.progress import progress
from slim_retrieval.graph import knn

BLOCK_VALUES = 2**20  # queries x gallery at a time: arrays of this size stay in cache
BLOCK_QUERIES = 128  # but no fewer queries than this: each block may read the whole gallery


def rank(score, num_queries, num_gallery, k, left_out=None, what="re-ranking"):
    """Return int32 [q, k]: for each query the ids of the k largest scores, best first, -1 pads.

    Args:
      score: function from a slice of the queries to their scores, float32 [b, n] in [-1, 1].
      num_queries, num_gallery: q and n.
      k: depth.
      left_out: int [q], an id for each query that is not returned, such as its own; None: all take part.
      what: a few words for the progress shown.
    """
    ranks = np.empty((num_queries, k), np.int32)
    block = max(BLOCK_QUERIES, BLOCK_VALUES // num_gallery)
    for start in progress(range(0, num_queries, block), what=what, unit="block"):
        rows = slice(start, start + block)
        ranks[rows] = best(score(rows), k, None if left_out is None else left_out[rows])
    return ranks


def best(scores, k, left_out=None):
    """Return the ids of each row's k largest scores, best first, equal scores by the smaller id: int32 [b, k].

    Args:
      scores: float32 [b, n] in [-1, 1].
      k: depth; beyond the ids there are the rest is -1.
      left_out: int [b], one id for each row that is not returned; None: all take part.
    """
    n = scores.shape[1]
    keys = knn._keys(scores, np.arange(n))
    if left_out is not None:
        keys[np.arange(len(keys)), left_out] = knn._MISSING
    if 2 * k < n:  # nearer to n, finding the k best first costs more than it saves
        keys.partition(k - 1, axis=1)
        keys = keys[:, :k]
    keys.sort(axis=1)
    keys = keys[:, :k]
    ids = np.full((len(keys), k), -1, np.int32)
    ids[:, :keys.shape[1]] = knn._decode(keys)[0]
    return ids
