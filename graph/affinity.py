"""From similarities on edges to the diffusion's matrix S = D^-1/2 A D^-1/2."""
import numpy as np
from scipy import sparse


def weights(similarities, gamma):
    """Return max(0, s)^gamma as float32; a similarity of 0 or less has weight 0 for every gamma, 0 included."""
    positive = np.maximum(similarities, 0).astype(np.float64)
    return np.where(positive > 0, positive ** gamma, 0).astype(np.float32)


def affinity(edge_matrix, gamma):
    """Return A with A_ij = max(0, s_ij)^gamma as float32 CSR; edges of weight 0 are removed.

    Args:
      edge_matrix: CSR [n, n] of similarities, symmetric, zero diagonal (see edges.py). Not changed.
      gamma: exponent; larger trusts near neighbours more.
    """
    result = sparse.csr_matrix((weights(edge_matrix.data, gamma), edge_matrix.indices, edge_matrix.indptr),
                               shape=edge_matrix.shape, copy=True)
    result.eliminate_zeros()
    return result


def normalised(matrix):
    """Return S = D^-1/2 A D^-1/2 as float32 CSR, D the row sums of A; an isolated node keeps a row of zeros.

    S is exactly symmetric and its eigenvalues lie in [-1, 1], so I - alpha S is positive definite for alpha < 1.
    """
    degrees = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.zeros_like(degrees)
    scale[degrees > 0] = 1 / np.sqrt(degrees[degrees > 0])
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    # The two scales first: their product is the same for ij and ji, to the last bit.
    values = (scale[rows] * scale[matrix.indices]) * matrix.data
    return sparse.csr_matrix((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape, copy=True)


def isolated(matrix):
    """Return how many nodes have no edge."""
    return int(np.sum(np.diff(matrix.indptr) == 0))
