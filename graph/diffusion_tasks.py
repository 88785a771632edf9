"""The solver's blocks of columns as tasks: each needs the graph and its own columns only (common/jobs.py)."""
import os

import numpy as np
from scipy import sparse

from slim_retrieval.common import files, jobs, memory
from slim_retrieval.graph import diffusion_columns
from slim_retrieval.graph.compiled import workers
from slim_retrieval.graph.sparse_product import Rows

PARTS = ["data", "indices", "indptr"]


def solve(scaled, places, alpha, features, settings, block, out):
    """Write the solution to `out`; return [(products, residual)] of the blocks.

    Args:
      scaled: alpha S, renumbered, CSR float32 [n, n]; places: int [n], see diffusion.near_each_other.
      features: float32 [n, d]; best memory-mapped from a .npy file that all workers see.
      settings: tuple (tolerance, max_iterations, storage).
      block: columns of a task.
      out: float32 [n, d].
    """
    matrix = [getattr(scaled, name) for name in PARTS]
    folder = jobs.folder("diffusion", alpha, settings, features, *matrix)
    for name, part in zip(PARTS + ["places"], matrix + [places]):
        files.write_array(os.path.join(folder, name + ".npy"), part)
    path = jobs.shared(features, os.path.join(folder, "features.npy"))
    width = features.shape[1]
    tasks = [(folder, path, start, min(start + block, width), alpha, settings,
              os.path.join(folder, "columns-{}.npz".format(start))) for start in range(0, width, block)]
    jobs.run(columns, tasks, "diffusion")
    found = []
    for _, _, start, stop, _, _, solved in tasks:
        with np.load(solved) as stored:
            out[:, start:stop] = stored["solution"]
            found.append((int(stored["products"]), float(stored["residual"])))
        memory.release(out)
    jobs.forget(folder)
    return found


def columns(folder, features, start, stop, alpha, settings, output):
    """Task: solve for the columns from start to before stop of the features (.npy); write them to `output` (.npz)."""
    *parts, places = (np.load(os.path.join(folder, name + ".npy")) for name in PARTS + ["places"])
    matrix = sparse.csr_matrix(tuple(parts), shape=(len(places), len(places)))
    tolerance, max_iterations, storage = settings
    with workers() as pool:
        rows = Rows(matrix, pool, half=storage == "float16")
        solution = np.empty((len(places), stop - start), np.float32)
        products, residual = diffusion_columns.solve(
            rows, alpha, (np.load(features, mmap_mode="r")[:, start:stop], None), slice(0, stop - start), places,
            (tolerance, max_iterations), pool, solution)
    with files.replacing(output) as path:
        np.savez(path, solution=solution, products=products, residual=residual)
