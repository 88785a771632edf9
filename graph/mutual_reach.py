"""Mutual neighbours at many k at once: the graph of the largest, and from which k on each of its edges is in it."""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity
from slim_retrieval.graph.compiled import workers

VALUES = 2**22  # ids looked at at a time


def joined(ids, similarities, k):
    """Return (graph, reach): edges as edges.mutual has them, and of each the smallest k at which they are mutual.

    Args:
      ids: int32 [n, K], K >= k, each row's neighbours, nearest first, without itself; -1 pads.
      similarities: float32 [n, K].
      k: the largest.

    Returns:
      graph: CSR float32 [n, n], exactly symmetric, indices of a row in the order of its neighbours.
      reach: int32, one for each stored value of the graph.
    """
    ids, similarities = np.asarray(ids), np.asarray(similarities)
    starts = range(0, len(ids), max(1, VALUES // k**2))
    with workers() as pool:
        parts = list(pool.map(lambda start: _rows(ids, similarities, k, start, starts.step), starts))
    counts, columns, values, reach = (np.concatenate(arrays) for arrays in zip(*parts))
    graph = sparse.csr_matrix((values, columns, np.concatenate([[0], np.cumsum(counts)])), shape=(len(ids),) * 2)
    return graph, reach


def summed(graph, reach, scales, counts, gamma):
    """Return the sum over the scales of count * affinity.affinity(edges at that k, gamma), float32 CSR [n, n].

    Args:
      graph, reach: from `joined`, with the largest of the scales or more.
      scales: list of k; counts: list of float32, one for each.
    """
    at_most = np.zeros(int(max(scales)) + 2, np.float64)  # summed over all scales from a k on
    for k, count in zip(scales, counts):
        at_most[:k + 1] += count
    values = affinity.weights(graph.data, gamma)
    values *= at_most.astype(np.float32)[np.minimum(reach, len(at_most) - 1)]
    result = sparse.csr_matrix((values, graph.indices, graph.indptr), shape=graph.shape)
    if not values.all():
        result = result.copy()
        result.eliminate_zeros()
    return result


def _rows(ids, similarities, k, start, step):
    """Return (edges of each row, columns, similarities, reach) of some rows."""
    near = np.array(ids[start:start + step, :k])
    own = np.arange(start, start + len(near), dtype=near.dtype)[:, None]
    hits = ids[near, :k] == own[:, :, None]  # [rows, k, k]
    back = hits.argmax(axis=2)
    kept = np.take_along_axis(hits, back[:, :, None], axis=2)[:, :, 0] & (near >= 0) & (near != own)
    rows, places = np.nonzero(kept)
    columns, back = near[kept], back[kept]
    # Of the two stored similarities that in the list of the lower node, so that both directions have the same.
    values = np.where(columns > own[rows, 0], similarities[start + rows, places], similarities[columns, back])
    return kept.sum(axis=1), columns, values.astype(np.float32), (np.maximum(places, back) + 1).astype(np.int32)
