"""Exact nearest neighbours, and rankings, as tasks: a block of rows against the whole gallery (common/jobs.py)."""
import os

import numpy as np

from slim_retrieval.common import files, jobs, memory
from slim_retrieval.graph import keys, knn

ROWS = 4096  # of a task


def neighbors(gallery, k, name):
    """Return (ids, similarities) as knn.neighbors.

    Args:
      gallery: float32 [n, d], rows L2-normalised; best memory-mapped from a .npy file that all workers see.
      name: digest of the gallery.
    """
    n = len(gallery)
    folder = jobs.folder("neighbors", name, n, k)
    path = jobs.shared(gallery, os.path.join(folder, "gallery.npy"))
    tasks = [(path, start, min(start + ROWS, n), k, os.path.join(folder, "neighbors-{}.npz".format(start)))
             for start in range(0, n, ROWS)]
    jobs.run(block, tasks, "neighbours")
    ids, similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
    for _, start, stop, _, found in tasks:
        with np.load(found) as stored:
            ids[start:stop], similarities[start:stop] = stored["ids"], stored["similarities"]
    jobs.forget(folder)
    return ids, similarities


def block(gallery, start, stop, k, output):
    """Task: write the neighbours of the rows from start to before stop of a gallery (.npy) to `output` (.npz)."""
    array = np.load(gallery, mmap_mode="r")
    ids, similarities = knn.search(array[start:stop], array, k + 1)
    ids, similarities = keys.without(np.arange(start, stop), similarities, ids, k)
    with files.replacing(output) as path:
        np.savez(path, ids=ids, similarities=similarities)


def rank(queries, gallery, k, rows):
    """Return int32 [q, k], the rankings of knn.search.

    Args:
      queries, gallery: float32 [q, d], [n, d], rows L2-normalised; best memory-mapped from a .npy file that all see.
      k: depth.
      rows: queries scored at a time.
    """
    folder, q = jobs.folder("rank", queries, gallery, k), len(queries)
    paths = [jobs.shared(array, os.path.join(folder, name + ".npy")) for name, array in
             (("queries", queries), ("gallery", gallery))]
    step = rows * max(1, ROWS // rows)
    tasks = [(*paths, start, min(start + step, q), k, rows, os.path.join(folder, "ranks-{}.npy".format(start)))
             for start in range(0, q, step)]
    jobs.run(ranked, tasks, "ranking")
    ids = memory.empty((q, k), np.int32)
    for _, _, start, stop, _, _, found in tasks:
        ids[start:stop] = np.load(found)
    jobs.forget(folder)
    return ids


def ranked(queries, gallery, start, stop, k, rows, output):
    """Task: write the rankings of the queries from start to before stop, both from .npy files, to `output` (.npy)."""
    queries = np.load(queries, mmap_mode="r")[start:stop]
    files.write_array(output, knn.search(queries, np.load(gallery, mmap_mode="r"), k, rows)[0])
