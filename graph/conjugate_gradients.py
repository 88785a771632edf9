"""Conjugate gradients for many right sides at once: each column by its own steps, all sharing the products."""
import numpy as np


def improve(product, solution, residual, targets, max_iterations):
    """Improve `solution` of A Y = B in place until the recursion's residuals reach `targets`; return the products used.

    All columns share the products, which is what costs; step lengths are each column's own. A converged column is
    frozen: its steps are 0.

    Args:
      product: function from float32 [n, w] to A times it, a new array; A symmetric positive definite.
      solution: float32 [n, w], the start.
      residual: float32 [n, w], B - A solution; used up.
      targets: [w], norms of residuals at which a column is done.
      max_iterations: most products.
    """
    direction = residual.copy()
    squares = dots(residual, residual)
    for iteration in range(max_iterations):
        active = np.sqrt(squares) > targets
        if not active.any():
            return iteration
        applied = product(direction)
        step = _divide(squares, dots(direction, applied), active)
        solution += direction * step
        applied *= step
        residual -= applied
        before, squares = squares, dots(residual, residual)
        direction *= _divide(squares, before, active)
        direction += residual
    return max_iterations


def dots(a, b):
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
