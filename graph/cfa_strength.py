"""How strongly automatic CFA diffuses: tried on a sketch of the signatures, a few columns in place of all."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph import cfa_automatic, features
from slim_retrieval.graph.cfa_solve import solve_level

WIDTH = 64  # columns of the sketch: the mean agreement of thousands of pairs is off by less than 0.01


def choose(level, signatures, source, neighbors, settings, side=None, nested=None):
    """Return (a pair of cfa_automatic.STRENGTHS, agreement of neighbours): the first at which they agree, or the last.

    Args:
      level: dict of k, weights, cells.
      signatures: float32 [n, w], rows L2-normalised.
      source, neighbors, settings, side, nested: see cfa_solve.solve_level.
    """
    rows = sketch(signatures, settings["seed"])
    for strength in cfa_automatic.STRENGTHS[:-1]:
        output = solve_level(dict(level, alpha=strength[0]), [rows], source, neighbors, [slice(0, rows.shape[1])],
                             settings, side, strength[1], nested=nested)[0]
        agreed = cfa_automatic.gallery_agreement(neighbors[0], output)
        if agreed >= cfa_automatic.AGREEING:
            return strength, agreed
    return cfa_automatic.STRENGTHS[-1], agreed


def sketch(rows, seed):
    """Return float32 [n, at most WIDTH]: random sums and differences of the columns, which about keep the angles.

    Johnson and Lindenstrauss, 1984; with signs: Achlioptas, 2003. Diffusion works on each column by itself, so it
    does to the sketch what it does to the rows.
    """
    if rows.shape[1] <= WIDTH:
        return rows
    signs = np.random.RandomState(seed).choice(np.float32([-1, 1]), (rows.shape[1], WIDTH))
    result = memory.empty((len(rows), WIDTH))
    for start, stop in features.blocks(*rows.shape):
        result[start:stop] = rows[start:stop] @ signs
        memory.release(rows)
    return result
