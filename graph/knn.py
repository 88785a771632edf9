"""Nearest neighbours by inner product, exact: by blocked products in NumPy, or by half of all pairs (self_join.py), or
on a graphics card (cards.py).

Most products are below the k-th best so far, and looked at no more: a search takes little longer than the products.
"""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import cards, compiled, keys, self_join

GALLERY_BLOCK = 8192
JOIN_FEWEST = 2048  # rows from which on half of all pairs, in compiled loops, is faster


def search(queries, gallery, k, block=1024):
    """Return the k gallery rows with the largest inner product for each query: (ids, similarities), best first.

    Equal similarities are ordered by the smaller id, which also decides who is left out at place k (but on a card).

    Args:
      queries: [q, d] float32, rows L2-normalised.
      gallery: [n, d] float32, rows L2-normalised; may be memory-mapped and is not copied.
      k: number of neighbours; where it exceeds n the rest is padded.
      block: queries scored at a time.

    Returns:
      ids: int32 [q, k]; -1 pads.
      similarities: float32 [q, k], clipped to [-1, 1] (float32 sums stray beyond); pads are -1.

    Raises:
      InputError: k is less than 1.
    """
    ids = np.empty((len(queries), k), np.int32)
    similarities = np.empty((len(queries), k), np.float32)
    for start, found, scores in _search_blocks(queries, gallery, k, block):
        ids[start:start + len(found)] = found
        similarities[start:start + len(found)] = scores
    return ids, similarities


def neighbors(gallery, k, block=1024):
    """Return each gallery row's k nearest other rows: (ids, similarities) as from `search`.

    Self is dropped by its id, wherever it stands: among duplicates it need not come first, nor come at all.
    """
    if by_pairs(k, len(gallery)) and not cards.worthwhile(gallery, gallery, k + 1):
        return self_join.join(gallery, k)[:2]
    ids = np.empty((len(gallery), k), np.int32)
    similarities = np.empty((len(gallery), k), np.float32)
    for start, found, scores in _search_blocks(gallery, gallery, k + 1, block):
        stop = start + len(found)
        others = without_self(found, start)
        ids[start:stop] = found[others].reshape(len(found), k)
        similarities[start:stop] = scores[others].reshape(len(found), k)
    return ids, similarities


def without_self(ids, start=0):
    """Return bool [n, k + 1] with k True in each row: all but the row's own id, or all but the last where it is absent.

    Args:
      ids: int [n, k + 1]; row r belongs to image start + r.
    """
    others = ids != np.arange(start, start + len(ids))[:, None]
    others[others.all(axis=1), -1] = False
    return others


def share_found(similarities, true):
    """Return the mean share of the true neighbours that was found; among equal similarities each is as good.

    Args:
      similarities, true: float32 [m, k], best first.
    """
    return float(np.mean(similarities >= true[:, -1:] - 1e-6))


def enough(given, gallery, k):
    """Return the neighbours given if they are k wide (or as wide as the gallery allows), else compute them."""
    if given is not None and given[0].shape[1] >= min(k, len(gallery) - 1):
        return given
    return neighbors(gallery, k)


def by_pairs(k, n):
    """Return whether `neighbors` of n rows takes half of all pairs (self_join.py) rather than a search of each row."""
    return n >= JOIN_FEWEST and 1 <= k <= self_join.MOST and compiled.import_numba() is not None


def _search_blocks(queries, gallery, k, block):
    """Yield (first row, ids, similarities) for one block of queries after the other."""
    if k < 1:
        raise InputError("k is {}; a search needs at least 1 neighbour".format(k))
    search_rows = _search
    if cards.worthwhile(queries, gallery, k):
        search_rows, block = cards.Search(), max(block, cards.block(gallery.shape[1]))
    for start in progress(range(0, len(queries), block), what="searching {} neighbours".format(k), unit="block"):
        rows = np.ascontiguousarray(queries[start:start + block], np.float32)
        memory.release(queries)
        yield (start,) + search_rows(rows, gallery, k)


def _search(queries, gallery, k):
    """Return (ids, similarities) of some queries, as `search`."""
    best, bounds = np.empty((len(queries), 0), np.int64), None
    for start in range(0, len(gallery), GALLERY_BLOCK):
        scores = queries @ np.ascontiguousarray(gallery[start:start + GALLERY_BLOCK]).T
        memory.release(gallery)
        best = np.concatenate([best, _all(scores, start) if bounds is None else _above(scores, bounds, start)], axis=1)
        if best.shape[1] > k:
            best.partition(k - 1, axis=1)
            best = best[:, :k].copy()  # a copy lets the wide array go
        if best.shape[1] == k:
            bounds = keys.decode(best.max(axis=1))[1]
    best.sort(axis=1)
    missing = np.full((len(queries), k - best.shape[1]), keys.MISSING, np.int64)
    return keys.decode(np.concatenate([best, missing], axis=1))


def _all(scores, start):
    """Return int64 [q, b]: the keys of all scores; the first column is the gallery's row `start`."""
    return keys.encode(np.clip(scores, -1, 1), np.arange(start, start + scores.shape[1]))


def _above(scores, bounds, start):
    """Return int64 [q, m]: the keys of the scores above each row's bound, with pads. An equal one has a larger id."""
    rows, columns = np.nonzero(scores > bounds[:, None])
    counts = np.bincount(rows, minlength=len(scores))
    found = np.full((len(scores), counts.max()), keys.MISSING, np.int64)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found[rows, places] = keys.encode(np.clip(scores[rows, columns], -1, 1), columns + start)
    return found
