"""From scores to rankings: best first, equal scores by the smaller id, the rest in plain order."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError


def check_depth(k):
    """Raise InputError unless k is at least 1."""
    if k < 1:
        raise InputError("k is {}; a ranking needs at least 1 place".format(k))


def best(scores, k):
    """Return the ids of each row's k largest scores above 0, int32 [q, k], best first, -1 pads.

    Equal scores are ordered by the smaller id, also where they decide who is left out at place k.

    Args:
      scores: float32 [q, n], an array or CSR without double entries; not changed.
      k: depth.

    Raises:
      InputError: k is less than 1.
    """
    check_depth(k)
    result = np.full((scores.shape[0], k), -1, np.int32)
    for row, (values, ids) in enumerate(_rows(scores)):
        positive = values > 0
        # A positive float's bits order as the float does, so one sort of integers orders by falling score, rising id.
        keys = (2**31 - 1 - values[positive].view(np.int32).astype(np.int64)) << 32 | ids[positive]
        if len(keys) > k:
            keys = np.partition(keys, k - 1)[:k]
        result[row, :len(keys)] = np.sort(keys) & 0xFFFFFFFF
    return result


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


def _rows(scores):
    """Yield (values, ids) of each row, values float32 and in one piece."""
    if sparse.issparse(scores):
        for start, stop in zip(scores.indptr[:-1], scores.indptr[1:]):
            yield scores.data[start:stop], scores.indices[start:stop]
    else:
        ids = np.arange(scores.shape[1])
        for row in scores:
            yield np.ascontiguousarray(row), ids
