"""Centring: taking away what all features have in common, so that similarities tell them apart.

Pooled activations and raw pixels are never negative, so all their cosines are large and differ little: with a mean of
norm .7, half of each inner product is the same for every pair. Where features are centred already, or nearly, there is
nothing to gain, and subtracting a mean estimated from few images adds noise.
"""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph import features

SMALLEST = 0.3  # norm of the mean: below, less than a tenth of an inner product is common to all pairs
PROBES = 32     # rows of a graph that are compared with the features
TOLERANCE = 1e-3


def choose(array):
    """Return the mean of the rows, float32 [d], where it is large enough to be taken away, else None.

    Args:
      array: float32 [n, d], rows L2-normalised; may be memory-mapped.
    """
    total = np.zeros(array.shape[1], np.float64)
    for start, stop in features.blocks(*array.shape):
        total += array[start:stop].sum(axis=0, dtype=np.float64)
        memory.release(array)
    mean = total / len(array)
    return mean.astype(np.float32) if len(array) > 1 and np.linalg.norm(mean) >= SMALLEST else None


def apply(array, mean):
    """Return normalise(x - mean) for each row, a new float32 [n, d]; the array itself where mean is None.

    A row that is the mean itself has no direction left and stays as it was.
    """
    if mean is None:
        return array
    result = memory.empty(array.shape)
    for start, stop in features.blocks(*array.shape):
        rows = array[start:stop] - mean
        lost = np.einsum("ij,ij->i", rows, rows) < 1e-12
        rows[lost] = array[start:stop][lost]
        result[start:stop] = features.normalise_rows(rows)
        memory.release(array, result)
    return result


def neighbors_of(neighbors, array):
    """Return the neighbours given, or None where their similarities are not the inner products of these features.

    A graph of features before centring must not pass for one of features after it.

    Args:
      neighbors: (ids, similarities) as from knn.neighbors, or None.
      array: float32 [n, d], rows L2-normalised.
    """
    if neighbors is None or len(neighbors[0]) != len(array):
        return None
    ids, similarities = neighbors
    for row in np.unique(np.linspace(0, len(array) - 1, PROBES).astype(int)):
        if ids[row, 0] >= 0 and abs(float(array[row] @ array[ids[row, 0]]) - similarities[row, 0]) > TOLERANCE:
            return None
    return neighbors
