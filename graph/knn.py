"""Nearest neighbours by inner product, exact: by faiss, by NumPy or by half of all pairs."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.notices import say_once
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import compiled, keys, self_join

GALLERY_BLOCK = 8192
# Measured on 2 cores: sorting everything beats faiss' heaps once about a quarter of the gallery is wanted.
FAISS_SHARE = 0.25
JOIN_FEWEST = 2048  # rows from which on half of all pairs, in compiled loops, beats faiss


def search(queries, gallery, k, block=1024):
    """Return the k gallery rows with the largest inner product for each query: (ids, similarities), best first.

    Equal similarities are ordered by the smaller id. In NumPy this also decides who is left out at place k; faiss
    decides that for itself.

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
    if by_pairs(k, len(gallery)):
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


def backend(k, n):
    """Return "faiss" or "numpy": what searches for k of n rows."""
    if import_faiss() is None:
        say_once("faiss is not installed: exact search in NumPy, blocked")
        return "numpy"
    return "faiss" if k <= FAISS_SHARE * n else "numpy"


def import_faiss():
    """Return the module faiss, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def _search_blocks(queries, gallery, k, block):
    """Yield (first row, ids, similarities) for one block of queries after the other."""
    if k < 1:
        raise InputError("k is {}; a search needs at least 1 neighbour".format(k))
    run = _search_numpy
    if backend(k, len(gallery)) == "faiss":
        run, gallery = _search_faiss, np.ascontiguousarray(gallery)  # no copy unless it lies column by column
    starts = range(0, len(queries), block)
    for start in progress(starts, what="searching {} neighbours".format(k), unit="block"):
        rows = np.ascontiguousarray(queries[start:start + block], np.float32)
        memory.release(queries)
        yield (start,) + run(rows, gallery, k)


def _search_faiss(queries, gallery, k):
    faiss, best = import_faiss(), []
    step = max(k, memory.rows_between_releases(gallery))
    for start in range(0, len(gallery), step):
        # On the array itself, not through an index: an index would hold a second copy of a memory-mapped gallery.
        scores, ids = faiss.knn(queries, gallery[start:start + step], k, metric=faiss.METRIC_INNER_PRODUCT)
        found = keys.encode(np.clip(scores, -1, 1), ids + start)
        found[ids < 0] = keys.MISSING
        best.append(found)
        memory.release(gallery)
    found = np.concatenate(best, axis=1)
    found.sort(axis=1)
    return keys.decode(found[:, :k])


def _search_numpy(queries, gallery, k):
    best = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(gallery), GALLERY_BLOCK):
        part = np.ascontiguousarray(gallery[start:start + GALLERY_BLOCK])
        scores = np.clip(queries @ part.T, -1, 1)
        best = np.concatenate([best, keys.encode(scores, np.arange(start, start + len(part)))], axis=1)
        if best.shape[1] > k:
            best.partition(k - 1, axis=1)
            best = best[:, :k].copy()  # a copy lets the wide array go
        memory.release(gallery)
    best.sort(axis=1)
    missing = np.full((len(queries), k - best.shape[1]), keys.MISSING, np.int64)
    return keys.decode(np.concatenate([best, missing], axis=1))
