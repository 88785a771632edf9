"""The solver's work on some columns: read them, iterate (see diffusion.py), write them."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph.compiled import run

FEWEST = 4  # products between two looks at the residual
ROWS = 2048  # read or written at a time


def solve(rows, alpha, inputs, columns, places, limits, pool, out):
    """Solve for some columns and write them to the same columns of `out`; return (products with S, residual).

    Args:
      rows: sparse_product.Rows of alpha S, renumbered; places: int [n], where each node is.
      inputs: (X, what to start from or None), float32 [n, d].
      columns: slice; limits: (tolerance, max_iterations); pool: an executor that reads and writes, or None.
    """
    features, initial = inputs
    right = _read(features, columns, places, pool)
    right *= np.float32(1 - alpha)
    gain = _gain(right) if rows.dtype == np.float16 else np.float32(1)
    right, guess = _stored(right, gain, rows.dtype), None
    if initial is not None:
        guess = _stored(_read(initial, columns, places, pool), gain, rows.dtype)
    solution, products, residual = _solve_block(rows, alpha, right, guess, *limits)
    _write(out, columns, solution, places, pool, gain)
    return products, residual


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
