"""Diffusion of features over a graph: (I - alpha S) Y = (1 - alpha) X by Chebyshev iteration.

The unknown is the feature matrix itself, so this is one sparse positive definite system with d independent right
sides. Columns are solved in blocks; a block needs the graph and its own columns only, so X and Y may be larger than
memory, and no n x n array appears.

The eigenvalues of I - alpha S lie in [1 - alpha, 1 + alpha], whatever the graph. For a known interval Chebyshev's
polynomials are the best ones (Golub and Varga, 1961): as many products as conjugate gradients take here, give or take
a few, but no inner products, so that an iteration is a single pass over three blocks:

    Y_{m+1} = Y_{m-1} + omega_{m+1} (alpha S Y_m + B - Y_{m-1}),   omega_{m+1} = 1 / (1 - alpha^2 omega_m / 4)

The residual after m products is at most 1 / cosh(m arcosh(1 / alpha)) of the first: how many products a tolerance
takes is known beforehand, and the true residual is looked at when they are done.
"""
import sys

import numpy as np

from slim_retrieval.common import jobs, memory
from slim_retrieval.common.errors import lookup
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import diffusion_columns, diffusion_tasks, node_order
from slim_retrieval.graph.compiled import workers
from slim_retrieval.graph.sparse_product import Rows

SMALL = 2**15  # nodes up to which a block's arrays stay in cache: then each thread has columns of its own, else all
               # threads share the rows of a block
BLOCK_COLUMNS = 64  # at most
BLOCK_VALUES = 2**28  # n * columns of one block
BLOCKS = 4  # of this size are alive at once
VECTOR = 16  # columns that the compiled loop takes at once; what is left over takes as long as so many
STORAGE = {"float32": "float32 gives about 1e-7 / (1 - alpha)",
           "float16": "float16 gives about 1e-3 / (1 - alpha)"}  # and what residual it ends at
REORDER = 1024  # nodes from which on their order matters: a block of fewer stays in cache anyway


def solve(matrix, alpha, features, tolerance=1e-5, max_iterations=100, initial=None, out=None, block=None,
          storage="float32", order=None):
    """Return (Y, info) with (I - alpha S) Y = (1 - alpha) X; the rows of Y are not normalised.

    An isolated node's row is (1 - alpha) x: after normalisation it is unchanged.

    Args:
      matrix: S, float32 CSR [n, n], symmetric, eigenvalues in [-1, 1] (see affinity.normalised).
      alpha: strength, 0 <= alpha < 1.
      features: X, float32 [n, d]; may be memory-mapped; not changed.
      tolerance: largest relative residual |b - A y| / |b| of a column.
      max_iterations: most products with S per block of columns.
      initial: [n, d] to start from (a warm start), or None for zeros.
      out: float32 [n, d] to write Y into, such as a numpy.memmap; None makes a new array.
      block: columns solved at once; None: as `columns_at_once` says.
      storage: "float32", or "float16": the blocks of an iteration take half the memory, and the residual ends near
        1e-3 / (1 - alpha); sums are float32 all the same. Without Numba it is float32 always.
      order: near_each_other(matrix), where several sets of features are solved for with one matrix, or None.

    Returns:
      Y, float32 [n, d] (it is `out` where given), and info: `iterations`, the most products with S in any block;
      `residual`, the largest relative residual, computed from Y and not by the recursion; `converged`. When a column
      did not converge, one line on stderr says so.
    """
    n, d = features.shape
    if out is None:
        out = np.empty((n, d), np.float32)
    lookup(STORAGE, storage, "storage")
    order, places = order or near_each_other(matrix)
    scaled = renumbered(matrix, order) * np.float32(alpha)
    block, limits = block or columns_at_once(n), (tolerance, max_iterations)
    if jobs.parallel() and initial is None:
        found = diffusion_tasks.solve(scaled, places, alpha, features, limits + (storage,), block, out)
    else:
        found = _solve_here(scaled, places, alpha, (features, initial), limits, storage, block, out)
    products, residuals = zip(*found)
    info = {"iterations": max(products), "residual": max(residuals)}
    info["converged"] = info["residual"] <= tolerance
    if not info["converged"]:
        print("warning: diffusion stopped after {} products with a relative residual of {:.1e}, above the tolerance "
              "{:g}; raise max_iterations, or the tolerance ({})".format(
                  info["iterations"], info["residual"], tolerance, STORAGE[storage]), file=sys.stderr, flush=True)
    return out, info


def _solve_here(scaled, places, alpha, inputs, limits, storage, block, out):
    """Solve block after block on this process's threads; return [(products, residual)]."""
    n, d = out.shape
    with workers() as pool:
        inner = None if n <= SMALL else pool  # what the threads share: blocks, or the rows of one block
        rows, starts = Rows(scaled, inner, half=storage == "float16"), range(0, d, block)

        def solve(start):
            columns = slice(start, min(start + block, d))
            return diffusion_columns.solve(rows, alpha, inputs, columns, places, limits, inner, out)

        found = map(solve, starts) if inner else pool.map(solve, starts)
        return list(progress(found, total=len(starts), what="diffusion", unit="block"))


def near_each_other(matrix):
    """Return (order, places): a renumbering of the nodes (node_order.py), and its inverse."""
    n = matrix.shape[0]
    if n < REORDER:
        return np.arange(n), np.arange(n)
    order = node_order.order(matrix)
    places = np.empty(n, np.int64)
    places[order] = np.arange(n)
    return order, places


def columns_at_once(n):
    """Return how many columns of n rows are solved at once."""
    most = int(max(1, min(BLOCK_COLUMNS, BLOCK_VALUES // max(1, n))))
    found = memory.columns(n, BLOCKS, most)
    return found // VECTOR * VECTOR or found


def renumbered(matrix, order):
    """Return the matrix with its nodes in the order that `near_each_other` gave, float32 CSR [n, n]."""
    if matrix.shape[0] < REORDER:
        return matrix
    result = matrix[order][:, order]
    result.sort_indices()
    return result
