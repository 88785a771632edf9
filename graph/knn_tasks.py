"""Exact nearest neighbours as tasks: a block of rows against the whole gallery (common/jobs.py)."""
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
