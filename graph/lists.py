"""Lists of rows that lie near each other: what an approximate search looks into instead of the whole gallery."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import best_lists

TRAIN = 20      # rows of a list that k-means sees
ITERATIONS = 3  # of k-means: more of them gain next to nothing in recall
ROWS = 4096     # rows compared with all centroids at a time
PRODUCTS = 2**23  # of a thread by itself, at most


def centroids(gallery, count, random, pool):
    """Return float32 [count, d], unit vectors: k-means by inner product on a sample of the gallery.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      count: at most n.
      random: numpy.random.RandomState.
      pool: an executor, such as compiled.workers().
    """
    sample = gallery[np.sort(random.permutation(len(gallery))[:TRAIN * count])]
    memory.release(gallery)
    result = sample[random.permutation(len(sample))[:count]]
    for _ in range(ITERATIONS):
        own = nearest_one(sample, result, pool)
        order, sizes = np.argsort(own, kind="stable"), np.bincount(own, minlength=count)
        filled = sizes > 0  # an empty list keeps its centroid
        sums = np.add.reduceat(sample[order], (np.cumsum(sizes) - sizes)[filled], axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        result[filled] = np.where(lengths > 0, sums / np.maximum(lengths, np.finfo(np.float32).tiny), result[filled])
    return result


def nearest_one(rows, centres, pool, what=None):
    """Return the list nearest to each row, int64 [n]; equal ones: the first. As `nearest` with 1, without Numba."""
    size = max(1, min(ROWS, PRODUCTS // len(centres)))

    def found(start):
        result = (rows[start:start + size] @ centres.T).argmax(axis=1)
        memory.release(rows)
        return result

    starts = range(0, len(rows), size)
    blocks = pool.map(found, starts)
    return np.concatenate(list(blocks if what is None else progress(blocks, len(starts), what, "block")))


def nearest(rows, centres, count, pool, what=None):
    """Return the lists nearest to each row, int32 [n, count], nearest first.

    Args:
      rows: float32 [n, d]; may be memory-mapped.
      centres: float32 [m, d].
      count: at most m.
      pool: an executor.
      what: shown with the progress; None: none is.
    """
    everything, best = best_lists.Lists(len(rows), count), np.arange(len(centres))
    starts = range(0, len(rows), ROWS)
    for start in starts if what is None else progress(starts, what=what, unit="block"):
        _compare(everything, rows, start, centres, best, pool)
    return everything.ids


def _compare(everything, rows, start, centres, best, pool):
    """Offer all centroids to some rows."""
    block = rows[start:start + ROWS]
    own = np.arange(start, start + len(block))
    everything.offer(lambda first, last: block[first:last] @ centres.T, own, best, pool)
    memory.release(rows)


def probes_needed(pairs, rows, others, centres):
    """Return how many lists must be looked at for a pair to meet, int [m]: the fewer of both sides.

    A pair meets where either side looks into the other's own list, because a product serves both.

    Args:
      pairs: (int [m], int [m]) into rows and others.
      rows, others: float32 [., d]; centres: float32 [lists, d].
    """
    first, second = rows @ centres.T, others @ centres.T
    own = [products.argmax(axis=1) for products in (first, second)]
    needed = []
    for products, (here, there), lists in ((first, pairs, own[1]), (second, pairs[::-1], own[0])):
        reached = products[here, lists[there]]
        needed.append((products[here] > reached[:, None]).sum(axis=1) + 1)
    return np.minimum(*needed)


def covering(needed, share):
    """Return how many lists to look into so that this share of the pairs meets.

    Args:
      needed: int [m], the number at which each pair meets; share: 0 to 1.
    """
    return int(np.sort(needed)[max(int(np.ceil(share * len(needed))), 1) - 1])


def members(own, count):
    """Return (order, bounds): list l holds the rows order[bounds[l]:bounds[l + 1]], in rising order."""
    bounds = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=count))])
    if count <= 2**16:  # small numbers are sorted by their digits
        own = own.astype(np.uint16)
    return np.argsort(own, kind="stable").astype(np.int32), bounds
