"""Nearest neighbours among very many images, most of them: an inverted file joined with itself by matrix products.

k-means on a sample cuts the gallery into lists. A row looks into the few lists nearest to it; all rows that look into a
list are compared with its rows in one matrix product, which serves both sides. How many lists are looked at follows
from a sample whose true neighbours are searched exactly: for each such pair it is known at which number it meets.
"""
import os
import time
import zipfile

import numpy as np
from threadpoolctl import threadpool_limits

from slim_retrieval.common import files, memory
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import best_lists, lists
from slim_retrieval.graph.compiled import workers

ROWS = 1024  # of a product
PRODUCTS = 2**19  # of a block, one thread's work of some milliseconds
PAIRS = 2**21  # compared at a time, for each thread
SECONDS = 120.0  # between two states that are stored, at least,
STORING = 0.05   # and so long that storing them takes this share of the time


def join(gallery, k, choose, seed=0, store=None):
    """Return (ids, similarities, about): nearly each row's k nearest others, as from knn.neighbors.

    Rows that meet fewer than k others have pads. `about` has lists and probes (of them looked at).

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      k: neighbours, from 1 to n - 1.
      choose: called with the centroids; returns how many lists are looked at.
      seed: of k-means.
      store: path of a .npz that holds the state from time to time, or None; a state that is there is gone on with. It
        must be this gallery's, with the same arguments. Whoever calls removes it when the result is safe.
    """
    # Each thread multiplies by itself: waiting for the others within each small product would take longer, and so would
    # threads that share the few rows of one list.
    with threadpool_limits(1, user_api="blas"), workers() as pool:
        state = _load(store)
        if state is None:
            centres, probes = plan(gallery, choose, seed, pool)
            looked = lists.nearest(gallery, centres, probes, pool,
                                   "finding the nearest of {} lists".format(len(centres)))
            state = {"looked": looked, "count": len(centres), "done": 0}
        best = best_lists.Lists(len(gallery), k, same=True)
        if state["done"]:
            best.ids[:], best.similarities[:] = state["ids"], state["similarities"]
        _join(gallery, best, state["looked"], int(state["count"]), int(state["done"]), store, pool)
    return best.ids, best.similarities, {"lists": int(state["count"]), "probes": state["looked"].shape[1]}


def plan(gallery, choose, seed, pool):
    """Return (centroids, how many lists each row looks into)."""
    count = number_of_lists(len(gallery))
    centres = lists.centroids(gallery, count, np.random.RandomState(seed), pool)
    return centres, int(min(choose(centres), count))


def number_of_lists(n):
    """Return how many lists n rows are cut into: comparing with centroids then costs about as much as with rows."""
    return int(max(1, min(4 * np.sqrt(n), n // lists.TRAIN)))


def _join(gallery, best, looked, count, done, store, pool):
    """Offer all pairs that meet: within each list first, which raises what others have to reach, then between lists."""
    order, bounds = lists.members(looked[:, 0], count)
    visitors, visits = lists.members(looked.ravel(), count)
    visitors //= looked.shape[1]
    take, due = memory.scattered(gallery), time.time() + SECONDS
    # What is held of a pair at once, at most: its product, and twice a list, an other and a similarity.
    most, waiting, pairs = memory.columns(1, 7, PAIRS * pool._max_workers), [], 0
    for step in progress(range(done, 2 * count), total=2 * count, initial=done, what="joining lists", unit="list"):
        number = step % count
        own = order[bounds[number]:bounds[number + 1]]
        rows = own if step < count else visitors[visits[number]:visits[number + 1]]
        if step >= count:
            rows = rows[looked[rows, 0] != number]
        size = max(1, min(ROWS, PRODUCTS // max(1, len(own))))
        for start in range(0, len(rows), size):
            # Within a list each pair once.
            waiting.append((rows[start:start + size], own if step >= count else own[start:]))
            pairs += len(waiting[-1][0]) * len(waiting[-1][1])
            if pairs >= most:
                _compare(take, best, waiting, pool)
                waiting, pairs = [], 0
        if store is not None and time.time() >= due:
            _compare(take, best, waiting, pool)
            waiting, pairs, before = [], 0, time.time()
            _save(store, best, looked, count, step + 1)
            due = time.time() + max(SECONDS, (time.time() - before) / STORING)
    _compare(take, best, waiting, pool)


def _compare(take, best, pairs, pool):
    """Offer the products of [(rows, rows)] to the lists of both."""
    if not pairs:
        return
    best.offer_both([(lambda rows=rows, own=own: take(rows) @ take(own).T, rows, own) for rows, own in pairs], pool)


def _save(store, best, looked, count, done):
    with files.replacing(store) as name, open(name, "wb") as stream:
        np.savez(stream, looked=looked, count=count, done=done, ids=best.ids, similarities=best.similarities)


def _load(store):
    """Return the stored state, or None."""
    if store is None or not os.path.exists(store):
        return None
    try:
        with np.load(store, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # damaged: from the start
        return None
