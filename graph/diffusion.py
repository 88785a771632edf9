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
from scipy.sparse import csgraph

from slim_retrieval.common import memory
from slim_retrieval.common.errors import lookup
from slim_retrieval.common.progress import progress
from slim_retrieval.graph.compiled import run, workers
from slim_retrieval.graph.sparse_product import Rows

SMALL = 2**15  # nodes up to which 64 columns of three arrays stay in cache: then each thread has columns of its own
BLOCK_COLUMNS = 128  # at most, for more nodes: then all threads share the rows of a block
BLOCK_VALUES = 2**26  # n * columns of one block
BLOCKS = 4  # of this size are alive at once
FEWEST = 4  # products between two looks at the residual
ROWS = 2048  # read or written at a time
STORAGE = {"float32": "float32 gives about 1e-7 / (1 - alpha)",
           "float16": "float16 gives about 1e-3 / (1 - alpha)"}  # and what residual it ends at
REORDER = 1024  # nodes from which on their order matters: a block of fewer stays in cache anyway


def solve(matrix, alpha, features, tolerance=1e-5, max_iterations=100, initial=None, out=None, block=None,
          storage="float32"):
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
      block: columns solved at once; None: 64 for each thread, for many nodes up to 128 for all threads together.
      storage: "float32", or "float16": the blocks of an iteration take half the memory, and the residual ends near
        1e-3 / (1 - alpha); sums are float32 all the same. Without Numba it is float32 always.

    Returns:
      Y, float32 [n, d] (it is `out` where given), and info: `iterations`, the most products with S in any block;
      `residual`, the largest relative residual, computed from Y and not by the recursion; `converged`. When a column
      did not converge, one line on stderr says so.
    """
    n, d = features.shape
    if out is None:
        out = np.empty((n, d), np.float32)
    lookup(STORAGE, storage, "storage")
    order, places = near_each_other(matrix)
    scaled = renumbered(matrix, order) * np.float32(alpha)
    block = block or columns_at_once(n)
    info = {"iterations": 0, "residual": 0.0}
    with workers() as pool:
        inner = None if n <= SMALL else pool  # what the threads share: blocks, or the rows of one block
        rows = Rows(scaled, inner, half=storage == "float16")

        def solve_columns(start):
            columns = slice(start, min(start + block, d))
            right = _read(features, columns, places, inner)
            right *= np.float32(1 - alpha)
            gain = _gain(right) if rows.dtype == np.float16 else np.float32(1)
            right, guess = _stored(right, gain, rows.dtype), None
            if initial is not None:
                guess = _stored(_read(initial, columns, places, inner), gain, rows.dtype)
            solution, products, residual = _solve_block(rows, alpha, right, guess, tolerance, max_iterations)
            _write(out, columns, solution, places, inner, gain)
            return products, residual

        starts = range(0, d, block)
        found = map(solve_columns, starts) if inner else pool.map(solve_columns, starts)
        for products, residual in progress(found, total=len(starts), what="diffusion", unit="block"):
            info = {"iterations": max(info["iterations"], products), "residual": max(info["residual"], residual)}
    info["converged"] = info["residual"] <= tolerance
    if not info["converged"]:
        print("warning: diffusion stopped after {} products with a relative residual of {:.1e}, above the tolerance "
              "{:g}; raise max_iterations, or the tolerance ({})".format(
                  info["iterations"], info["residual"], tolerance, STORAGE[rows.dtype.__name__]),
              file=sys.stderr, flush=True)
    return out, info


def _solve_block(rows, alpha, right, current, tolerance, max_iterations):
    """Solve for one block of columns; return (solution, products with S, largest relative residual)."""
    norms = np.sqrt(np.einsum("ij,ij->j", right, right, dtype=np.float64))
    norms[norms == 0] = 1  # a column of zeros: its solution is zero, its residual too
    previous, omega = np.zeros_like(right), 2.0
    if current is None:
        current, products, residual = right.copy(), 0, 1.0  # one step from zeros, whose residual is the right side
    else:
        residual = _relative(rows.advance(1, right, current, previous, squares=True), norms)
        products = 1
        if residual <= tolerance or max_iterations == 1:
            return current, products, residual
        current, previous = previous, current
    wanted = _products(residual, tolerance, alpha)
    while True:
        wanted = max(1, min(wanted, max_iterations - products))
        for number in range(wanted):
            omega = 1 / (1 - alpha * alpha * omega / 4)
            squares = rows.advance(omega, right, current, previous, squares=number == wanted - 1)
            current, previous = previous, current
        # The last product told the residual of what was current before it.
        products, before, residual = products + wanted, residual, _relative(squares, norms)
        if residual <= tolerance or products >= max_iterations or residual > 0.9 * before:
            return previous, products, residual  # float32 has no more to give when a few products gained nothing
        wanted = max(FEWEST, _products(1.0, tolerance / residual, alpha))


def _stored(block, gain, dtype):
    """Return a float32 block as it is kept during the iteration; the block is overwritten."""
    if gain != 1:
        block *= gain
    return block.astype(dtype, copy=False)


def _gain(right):
    """Return what brings a block's largest value to 1: float16 has few digits below 6e-5. A solution stays far below
    its largest, 65504."""
    return np.float32(1 / max(float(np.abs(right).max()), np.finfo(np.float32).tiny))


def _products(residual, tolerance, alpha):
    """Return how many products bring a relative residual down to the tolerance."""
    if residual <= tolerance or alpha == 0:
        return 1
    return int(np.ceil(np.arccosh(residual / tolerance) / np.arccosh(1 / alpha)))


def _relative(squares, norms):
    return float((np.sqrt(squares) / norms).max())


def near_each_other(matrix):
    """Return (order, places): a renumbering of the nodes in which neighbours lie near each other, and its inverse.

    A product reads the rows of a node's neighbours: near each other they are still in the processor's cache.
    """
    n = matrix.shape[0]
    if n < REORDER:
        return np.arange(n), np.arange(n)
    order = csgraph.reverse_cuthill_mckee(matrix, symmetric_mode=True)
    places = np.empty(n, np.int64)
    places[order] = np.arange(n)
    return order, places


def columns_at_once(n):
    """Return how many columns of n rows are solved at once."""
    most = 64 if n <= SMALL else int(max(1, min(BLOCK_COLUMNS, BLOCK_VALUES // n)))
    return memory.columns(n, BLOCKS, most)


def renumbered(matrix, order):
    """Return the matrix with its nodes in the order that `near_each_other` gave, float32 CSR [n, n]."""
    if matrix.shape[0] < REORDER:
        return matrix
    result = matrix[order][:, order]
    result.sort_indices()
    return result


def _read(array, columns, places, pool):
    """Return some columns of an array as float32 [n, w], row i at places[i]; the array is read row after row."""
    result = np.empty((len(array), columns.stop - columns.start), np.float32)

    def read(start):
        result[places[start:start + ROWS]] = array[start:start + ROWS, columns]

    _by_rows(pool, read, array)
    return result


def _write(out, columns, block, places, pool, gain):
    """Write a block over gain to some columns of an array, row after row; row i comes from places[i]."""

    def write(start):
        part = block[places[start:start + ROWS]]
        out[start:start + ROWS, columns] = part if gain == 1 else part.astype(np.float32) / gain

    _by_rows(pool, write, out)


def _by_rows(pool, work, array):
    """Call work(first row) for all blocks of rows of an array; give back what is mapped from a file in between."""
    most = max(ROWS, memory.rows_between_releases(array) // ROWS * ROWS)
    for first in range(0, len(array), most):
        run(pool, work, range(first, min(first + most, len(array)), ROWS))
        memory.release(array)

