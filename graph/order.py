"""From scores to rankings: best first, equal scores by the smaller id, the rest in plain order."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import keys

BLOCK_VALUES = 2**20  # queries x gallery at a time: arrays of this size stay in cache
BLOCK_QUERIES = 128  # but no fewer queries than this: each block may read the whole gallery


def check_depth(k):
    """Raise InputError unless k is at least 1."""
    if k < 1:
        raise InputError("k is {}; a ranking needs at least 1 place".format(k))


def rank(score, num_queries, num_gallery, k, left_out=None, what="re-ranking"):
    """Return int32 [q, k]: for each query the ids of the k largest scores, best first, -1 pads.

    Args:
      score: function from a slice of the queries to their scores, float32 [b, n].
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


def best(scores, k, left_out=None, positive=False):
    """Return the ids of each row's k largest scores, int32 [b, k], best first, -1 pads.

    Equal scores are ordered by the smaller id, also where they decide who is left out at place k.

    Args:
      scores: float32 [b, n], finite: an array, or CSR without double entries, of which only stored scores take part.
        Not changed.
      k: depth.
      left_out: int [b], one id for each row that is not returned; None: all take part.
      positive: whether only scores above 0 take part.

    Raises:
      InputError: k is less than 1.
    """
    check_depth(k)
    if sparse.issparse(scores):
        stored = keys.encode(scores.data, scores.indices.astype(np.int64))
        found = np.empty((scores.shape[0], k), np.int64)
        for row, (start, stop) in enumerate(zip(scores.indptr[:-1], scores.indptr[1:])):
            found[row] = _sorted(stored[None, start:stop], scores.data[None, start:stop], k, positive)
    else:
        scores = np.ascontiguousarray(scores)
        found = keys.encode(scores, np.arange(scores.shape[1]))
        if left_out is not None:
            found[np.arange(len(found)), left_out] = keys.MISSING
        found = _sorted(found, scores, k, positive)
    return keys.decode(found)[0]


def _sorted(found, scores, k, positive):
    """Return the k first of each row's keys in order, int64 [b, k]; uses up `found`."""
    if positive:
        found[scores <= 0] = keys.MISSING
    if found.shape[1] < k:
        pads = np.full((len(found), k - found.shape[1]), keys.MISSING, np.int64)
        found = np.concatenate([found, pads], axis=1)
    if 2 * k < found.shape[1]:  # nearer to all, finding the k best first costs more than it saves
        found.partition(k - 1, axis=1)
        found = found[:, :k]
    found.sort(axis=1)
    return found[:, :k]


def complete(first, plain, k, without=None):
    """Return int32 [q, k]: each row of `first`, then what else `plain` has, in its order, cut to k, -1 pads.

    Args:
      first: int [q, m], ids without repeats; -1 pads.
      plain: int [q, p], likewise.
      k: depth.
      without: int [q], an id for each row that must not come, or None.
    """
    result = np.full((len(first), k), -1, np.int32)
    seen = np.zeros(max(first.max(initial=0), plain.max(initial=0)) + 1, bool)
    for row, (found, rest) in enumerate(zip(first, plain)):
        found, rest = found[found >= 0], rest[rest >= 0]
        if without is not None:
            found, rest = found[found != without[row]], rest[rest != without[row]]
        seen[found] = True
        merged = np.concatenate([found, rest[~seen[rest]]])[:k]
        seen[found] = False
        result[row, :len(merged)] = merged
    return result
