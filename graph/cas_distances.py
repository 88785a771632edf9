"""Distances between the distributions of cluster-aware similarity diffusion: divergences and shortest paths."""
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from slim_retrieval.common.progress import progress

BLOCK_VALUES = 2**20  # rows x nodes at a time: a few arrays of this size that stay in cache
FARTHEST = 50.0  # a path's greatest length, and that of no path, as in the authors' code
LEAST = 1e-7  # of an edge: a stored 0 is no edge, and divergences of equal distributions are rounding


def shared_information(rows, inverted):
    """Return 1 - JS(p, q) for each row p and each node's q, float32 [b, n]; 0 where they share nothing.

    JS is the Jensen-Shannon divergence in bits, from 0 to 1. Only what both have counts:

        1 - JS = sum_l (p_l log2((p_l + q_l) / p_l) + q_l log2((p_l + q_l) / q_l)) / 2,  l where p_l > 0 and q_l > 0

    Args:
      rows: CSR [b, m], rows of sum 1.
      inverted: CSR [m, n], the transpose of the nodes' distributions: for each l the nodes that have it.
    """
    lists = inverted[rows.indices]  # one list for each value of the block
    p, q = np.repeat(rows.data, np.diff(lists.indptr)), lists.data
    terms = p * np.log2(1 + q / p) + q * np.log2(1 + p / q)
    # A matrix that holds an entry more than once: toarray() adds them up, in compiled code.
    return sparse.csr_matrix((terms / 2, lists.indices, lists.indptr[rows.indptr]),
                             shape=(rows.shape[0], inverted.shape[1])).toarray()


def divergence_graph(encoded, ids):
    """Return float64 CSR [n, n], symmetric: JS between nodes of which either is in the other's list.

    Args:
      encoded: float32 CSR [n, n], rows of sum 1.
      ids: int [n, k], each node's nearest others; -1 pads.
    """
    n, inverted = len(ids), encoded.T.tocsr()
    values = np.empty(ids.shape, np.float32)
    for start, stop in progress(blocks(n, n), what="divergences", unit="block"):
        shared = shared_information(encoded[start:stop], inverted)
        values[start:stop] = 1 - np.take_along_axis(shared, np.maximum(ids[start:stop], 0).astype(np.int64), axis=1)
    kept = ids >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    graph = sparse.csr_matrix((np.maximum(values[kept], LEAST).astype(np.float64), ids[kept], indptr), shape=(n, n))
    return graph.maximum(graph.T).tocsr()


def path_lengths(graph, sources):
    """Return the length of the shortest path from each source to each node, float32 [sources, n], at most FARTHEST."""
    return np.minimum(csgraph.dijkstra(graph, indices=sources), FARTHEST).astype(np.float32)


def blocks(rows, n):
    """Return [(start, stop), ...] over `rows`, each of a few rows of n values."""
    size = max(1, BLOCK_VALUES // n)
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
