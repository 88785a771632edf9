"""Small tools for symmetric CSR matrices of edges. Each returns a new matrix; none changes its input."""
import numpy as np
from scipy import sparse


def ends(matrix):
    """Return (rows, columns), int64: the two ends of each stored edge, in the order of matrix.data."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return rows, matrix.indices.astype(np.int64)


def with_values(matrix, values):
    """Return the matrix with other values (float32) in the order of matrix.data; edges of value 0 are removed."""
    result = sparse.csr_matrix((np.asarray(values, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape,
                               copy=True)
    result.eliminate_zeros()
    return result


def from_pairs(rows, columns, values, n):
    """Return float32 CSR [n, n] with each pair in both directions; of several values for a pair the largest counts.

    Pairs of a node with itself are left out, and so are values of 0.
    """
    rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    values = np.asarray(values, np.float32)
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    order = np.lexsort((-values, high, low))
    low, high, values = low[order], high[order], values[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    first &= low != high
    low, high, values = low[first], high[first], values[first]
    result = sparse.coo_matrix((np.concatenate([values, values]), (np.concatenate([low, high]),
                                                                   np.concatenate([high, low]))), shape=(n, n)).tocsr()
    result.eliminate_zeros()
    result.sort_indices()
    return result


def larger(first, second):
    """Return the edges of both matrices, each with the larger of its values; edges of 0 or less are left out."""
    result = first.maximum(second).tocsr()
    result.eliminate_zeros()
    result.sort_indices()
    return result


def by_falling_value(matrix):
    """Return the order of the stored edges row by row, largest value first, ties by the smaller column."""
    rows, columns = ends(matrix)
    return np.lexsort((columns, -matrix.data, rows))


def reversed_values(matrix, values):
    """Return for each stored edge ij the value of ji; `matrix` is symmetric in its pattern, indices sorted."""
    other = sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape).T.tocsr()
    other.sort_indices()
    return other.data
