"""A diffusion solved anew only where it no longer holds: at the nodes whose equation a change of the graph has broken.

The residual of a node, r = (1 - alpha) x + alpha S y - y, tells whether its equation holds. After a change it is large
at new nodes, at neighbours of deleted ones and where edges have changed, and what it was elsewhere. The nodes T whose
residual is too large are solved for with all others held fixed,

    (I - alpha S_TT) z = r_T,   y_T <- y_T + z,

which mends theirs and breaks those of neighbours a little; where these become too large the neighbours are the next T,
until all are small enough. So as many nodes are solved for as the change reaches. No eigenvalue of I - alpha S is below
1 - alpha, so what is left is an error of at most |r| / (1 - alpha), which is told.
"""
import numpy as np

from slim_retrieval.graph import diffusion, features
from slim_retrieval.graph.compiled import workers
from slim_retrieval.graph.sparse_product import Rows

SHARE = 1 / 3  # of all nodes: when T is larger, all are solved for
AIM = 0.5      # part of the largest residual allowed that is left in T, in the mean
ALONE = 20     # rounds that take none but those whose residual is too large; later ones keep what the one before took
ROUNDS = 60
GUESSES = 2  # steps by which new nodes take over what their neighbours have
FINEST = 1e-4  # part of a residual below which float32 may not bring it; a round more does
PRODUCTS = 1000  # most in a round


def settle(matrix, alpha, inputs, solution, tolerance):
    """Change `solution` in place until each node's residual is at most 2 tolerance (1 - alpha); return a report.

    Solving for all to this tolerance leaves residuals of tolerance (1 - alpha) in the mean, and of up to twice as much.

    Args:
      matrix: S, float32 CSR [n, n], see affinity.normalised.
      alpha: strength, 0 <= alpha < 1.
      inputs: X, float32 [n, w], rows L2-normalised.
      solution: Y, float32 [n, w], C order, that of the graph before; zeros for new nodes.
      tolerance: as that of diffusion.solve.

    Returns:
      dict of `share`, that of the nodes solved for, `rounds`, `error`, a bound on |Y - Y*| / |Y| with Y* the exact
      solution, and `converged`.
    """
    limit = 2 * tolerance * (1 - alpha)
    everywhere = np.arange(len(solution))
    _guess(matrix, alpha, inputs, solution)
    sizes = _sizes(_residuals(matrix, alpha, inputs, solution, everywhere))
    changed, current, rounds = np.zeros(len(solution), bool), np.zeros(len(solution), bool), 0
    while sizes.max() > limit and rounds < ROUNDS:
        beyond = sizes > limit
        current = beyond if rounds < ALONE else current | beyond
        if current.sum() > SHARE * len(current):
            current[:] = True
        nodes = np.flatnonzero(current)
        _correct(matrix, alpha, inputs, solution, nodes, limit)
        changed |= current
        if len(nodes) == len(current):
            current[:], reached = False, everywhere
        else:
            reached = np.union1d(nodes, matrix[nodes].indices)
        sizes[reached] = _sizes(_residuals(matrix, alpha, inputs, solution, reached))
        rounds += 1
    error = np.linalg.norm(sizes) / (1 - alpha) / np.linalg.norm(solution)
    return {"share": float(changed.mean()), "rounds": rounds, "error": float(error),
            "converged": bool(sizes.max() <= limit)}


def _guess(matrix, alpha, inputs, solution):
    """Give new nodes, whose rows are zeros, what their equation makes of their neighbours, and again, of new ones too.

    With zeros in their places their neighbours' equations would be broken for no good reason.
    """
    new = np.flatnonzero(~solution.any(axis=1))
    for _ in range(GUESSES if len(new) else 0):
        solution[new] += np.concatenate(list(_residuals(matrix, alpha, inputs, solution, new)))


def _correct(matrix, alpha, inputs, solution, nodes, limit):
    """Solve for some nodes, the others held fixed, until their residuals are AIM limit in the mean."""
    residual = np.concatenate(list(_residuals(matrix, alpha, inputs, solution, nodes)))
    wanted = AIM * limit * np.sqrt(len(nodes)) / np.linalg.norm(residual)
    residual /= np.float32(1 - alpha)
    part = matrix if len(nodes) == len(solution) else matrix[nodes][:, nodes]
    solved = diffusion.solve(part, alpha, residual, min(max(wanted, FINEST), 0.5), PRODUCTS)[0]
    solution[nodes] += solved


def _residuals(matrix, alpha, inputs, solution, nodes):
    """Yield the residuals of the nodes, float32 [some, w], in their order."""
    with workers() as pool:
        for start, stop in features.blocks(len(nodes), solution.shape[1]):
            rows = nodes[start:stop]
            result = Rows(matrix[rows], pool).product(solution)
            result *= np.float32(alpha)
            result += np.float32(1 - alpha) * inputs[rows]
            result -= solution[rows]
            yield result


def _sizes(residuals):
    """Return the lengths of the rows of all blocks, float32 [n]."""
    return np.concatenate([np.sqrt(np.einsum("ij,ij->i", rows, rows)) for rows in residuals])
