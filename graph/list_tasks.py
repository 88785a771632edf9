"""Joined lists (list_join.py) as tasks: some lists' rows against all that they meet, in two steps (common/jobs.py).

A product no longer serves both sides, for the other side's rows belong to another task: twice the products with rows,
but the same pairs meet, tasks share nothing, and each writes its own rows' neighbours.

Rows go by their places in `order`, list after list; the rows of a task are then one range of places.
"""
import os

import numpy as np
from threadpoolctl import threadpool_limits

from slim_retrieval.common import files, jobs, memory
from slim_retrieval.graph import best_lists, list_join, lists
from slim_retrieval.graph.compiled import workers

ROWS = 2**16  # of a task
COLUMNS = 2**13  # of a product
LAYOUT = ["order", "bounds", "visitors", "visits"]


def join(gallery, k, choose, seed, name):
    """Return (ids, similarities, about) as list_join.join.

    Args:
      gallery: float32 [n, d], rows L2-normalised; best memory-mapped from a .npy file that all workers see.
      name: digest of the gallery.
    """
    n = len(gallery)
    with threadpool_limits(1, user_api="blas"), workers() as pool:
        centres, probes = list_join.plan(gallery, choose, seed, pool)
    folder = jobs.folder("lists", name, n, k, probes, centres)
    path = jobs.shared(gallery, os.path.join(folder, "gallery.npy"))
    files.write_array(os.path.join(folder, "centres.npy"), centres)
    tasks = [(folder, path, start, min(start + ROWS, n), probes, os.path.join(folder, "near-{}.npy".format(start)))
             for start in range(0, n, ROWS)]
    jobs.run(nearest, tasks, "finding the nearest of {} lists".format(len(centres)))
    order, bounds = _lay_out(np.concatenate([np.load(task[-1]) for task in tasks]), len(centres), folder)
    cuts = _cuts(bounds)
    tasks = [(folder, path, first, last, k, os.path.join(folder, "neighbors-{}.npz".format(first)))
             for first, last in zip(cuts[:-1], cuts[1:])]
    jobs.run(joined, tasks, "joining lists")
    ids, similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
    for _, _, first, last, _, output in tasks:
        rows = order[bounds[first]:bounds[last]]
        with np.load(output) as stored:
            ids[rows], similarities[rows] = stored["ids"], stored["similarities"]
    jobs.forget(folder)
    return ids, similarities, {"lists": len(centres), "probes": probes}


def nearest(folder, gallery, start, stop, probes, output):
    """Task: write the lists that the rows from start to before stop look into, int32 [rows, probes], to `output`."""
    centres = np.load(os.path.join(folder, "centres.npy"))
    with threadpool_limits(1, user_api="blas"), workers() as pool:
        found = lists.nearest(np.load(gallery, mmap_mode="r")[start:stop], centres, probes, pool)
    files.write_array(output, found)


def joined(folder, gallery, first, last, k, output):
    """Task: write the neighbours of the rows of the lists from first to before last to `output` (.npz)."""
    order, bounds, visitors, visits = (np.load(os.path.join(folder, name + ".npy"), mmap_mode="r") for name in LAYOUT)
    gallery, low, high = np.load(gallery, mmap_mode="r"), bounds[first], bounds[last]
    best = best_lists.Lists(high - low, k, same=True)
    with threadpool_limits(1, user_api="blas"), workers() as pool:
        for rows, columns in _meetings(bounds, visitors, visits, first, last):
            _compare(gallery, order, best, low, rows, columns, pool)
    ids = order[(best.ids + low) % len(order)]
    ids[best.ids < 0] = -1
    with files.replacing(output) as path:
        np.savez(path, ids=ids, similarities=best.similarities)


def _lay_out(looked, count, folder):
    """Write what the tasks of the second step share; return (order, bounds).

        order.npy      int32 [n], the rows, list after list
        bounds.npy     int [count + 1]: list l has the places bounds[l] to bounds[l + 1] of order
        visitors.npy   int32, the places of all that look into a list, list after list, rising within each
        visits.npy     int [count + 1], their bounds
    """
    order, bounds = lists.members(looked[:, 0], count)
    visitors, visits = lists.members(looked[order].ravel(), count)
    visitors //= looked.shape[1]
    for name, array in zip(LAYOUT, (order, bounds, visitors, visits)):
        files.write_array(os.path.join(folder, name + ".npy"), array)
    return order, bounds


def _cuts(bounds):
    """Return where the lists are cut into tasks of about ROWS rows: [0, ..., number of lists]."""
    steps = np.arange(ROWS, bounds[-1], ROWS)
    return [int(cut) for cut in np.unique(np.concatenate([[0], np.searchsorted(bounds, steps), [len(bounds) - 1]]))]


def _meetings(bounds, visitors, visits, first, last):
    """Yield (places of rows of the task's lists, places that these are to be compared with)."""
    def visiting(number, low, high):
        """The places from low to before high of other lists that look into list `number`."""
        found = visitors[visits[number]:visits[number + 1]]
        found = found[np.searchsorted(found, low):np.searchsorted(found, high)]
        return found[(found < bounds[number]) | (found >= bounds[number + 1])]

    for number in range(first, last):  # first within each list: this raises what others have to reach
        own = np.arange(bounds[number], bounds[number + 1])
        yield own, own
        yield own, visiting(number, 0, bounds[-1])
    for number in range(len(bounds) - 1):
        yield (visiting(number, bounds[first], bounds[last]), np.arange(bounds[number], bounds[number + 1]))


def _compare(gallery, order, best, low, rows, columns, pool):
    """Offer the columns to the rows, both places; `best` numbers them from the task's first, `low`, on, and round."""
    for start in range(0, len(columns) if len(rows) else 0, COLUMNS):
        some = columns[start:start + COLUMNS]
        others = gallery[order[some]]
        for begin in range(0, len(rows), list_join.ROWS):
            own = rows[begin:begin + list_join.ROWS]
            mine = gallery[order[own]]
            best.offer(lambda a, b, mine=mine, others=others: mine[a:b] @ others.T, own - low,
                       (some - low) % len(order), pool)
        memory.release(gallery)
