"""Diffusion of features over a graph: (I - alpha S) Y = (1 - alpha) X by block conjugate gradients.

The unknown is the feature matrix itself, so this is one sparse positive definite system with d independent right
sides. Columns are solved in blocks; a block needs the graph and its own columns only, so X and Y may be larger than
memory, and no n x n array appears.
"""
import sys

import numpy as np

from slim_retrieval.common.progress import progress

BLOCK_COLUMNS = 64
BLOCK_VALUES = 2**25  # n * columns of one block; about six arrays of this size are alive at once


def solve(matrix, alpha, features, tolerance=1e-5, max_iterations=100, initial=None, out=None, block=None):
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
      block: columns solved at once; None: 64, fewer for very large n.

    Returns:
      Y, float32 [n, d] (it is `out` where given), and info: `iterations`, the most products with S in any block;
      `residual`, the largest relative residual, computed from Y and not by the recursion; `converged`. When a column
      did not converge, one line on stderr says so.
    """
    n, d = features.shape
    block = block or int(max(1, min(BLOCK_COLUMNS, BLOCK_VALUES // n)))
    if out is None:
        out = np.empty((n, d), np.float32)
    info = {"iterations": 0, "residual": 0.0}
    for start in progress(range(0, d, block), what="diffusion", unit="block"):
        columns = slice(start, min(start + block, d))
        right = np.array(features[:, columns], np.float32, order="C") * np.float32(1 - alpha)
        guess = None if initial is None else np.array(initial[:, columns], np.float32, order="C")
        solution, products, residual = _solve_block(matrix, alpha, right, guess, tolerance, max_iterations)
        out[:, columns] = solution
        info = {"iterations": max(info["iterations"], products), "residual": max(info["residual"], residual)}
    info["converged"] = info["residual"] <= tolerance
    if not info["converged"]:
        print("warning: diffusion stopped after {} products with a relative residual of {:.1e}, above the tolerance "
              "{:g}; raise max_iterations, or the tolerance (float32 gives about 1e-7 / (1 - alpha))".format(
                  info["iterations"], info["residual"], tolerance), file=sys.stderr, flush=True)
    return out, info


def _solve_block(matrix, alpha, right, solution, tolerance, max_iterations):
    """Solve for one block of columns; return (solution, products with S, largest relative residual)."""
    norms = np.sqrt(_dots(right, right))
    norms[norms == 0] = 1  # a column of zeros: its solution is zero, its residual too
    if solution is None:
        solution, residual, products = np.zeros_like(right), right.copy(), 0
    else:
        residual, products = right - _apply(matrix, alpha, solution), 1
    largest, before = float((np.sqrt(_dots(residual, residual)) / norms).max()), np.inf
    # In float32 the recursion's residual drifts from the true one: look at the true one and go on from it, until that
    # gains nothing (rounding Y to float32 alone leaves a residual of about 1e-7 / (1 - alpha)).
    while largest > tolerance and largest < before / 2 and products + 1 < max_iterations:
        products += _conjugate_gradients(matrix, alpha, solution, residual, tolerance * norms,
                                         max_iterations - products - 1)
        residual = right - _apply(matrix, alpha, solution)
        products += 1
        largest, before = float((np.sqrt(_dots(residual, residual)) / norms).max()), largest
    return solution, products, largest


def _conjugate_gradients(matrix, alpha, solution, residual, targets, max_iterations):
    """Improve `solution` in place, each column by its own conjugate gradients; return the products used.

    All columns share the products with S, which is what costs; step lengths are each column's own. A converged column
    is frozen: its steps are 0. `residual` is used up.
    """
    direction = residual.copy()
    squares = _dots(residual, residual)
    for iteration in range(max_iterations):
        active = np.sqrt(squares) > targets
        if not active.any():
            return iteration
        product = _apply(matrix, alpha, direction)
        curvature = _dots(direction, product)
        step = _divide(squares, curvature, active)
        solution += direction * step
        product *= step
        residual -= product
        before, squares = squares, _dots(residual, residual)
        direction *= _divide(squares, before, active)
        direction += residual
    return max_iterations


def _apply(matrix, alpha, block):
    """Return (I - alpha S) block."""
    result = matrix @ block
    result *= np.float32(-alpha)
    result += block
    return result


def _dots(a, b):
    """Return the columns' inner products as float64 [columns].

    Summed in float32 over 512 rows at a time and in float64 over these: as exact as float64 throughout for this
    purpose, and three times as fast.
    """
    return np.sum([np.einsum("ij,ij->j", a[start:start + 512], b[start:start + 512])
                   for start in range(0, len(a), 512)], axis=0, dtype=np.float64)


def _divide(numerator, denominator, where):
    """Return numerator / denominator as float32, 0 where not `where`."""
    result = np.zeros(len(numerator))
    np.divide(numerator, denominator, out=result, where=where & (denominator > 0))
    return result.astype(np.float32)
