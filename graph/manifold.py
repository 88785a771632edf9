"""What the diffusion methods that re-order share: the gallery's graph, a query as mass on it, the ranking.

    A_ij = max(0, x_i.x_j)^gamma for mutual k nearest neighbours,   S = D^-1/2 A D^-1/2
    y_i  = max(0, q.x_i)^gamma for the query's kq nearest gallery images, 0 elsewhere

A method is then a function that spreads y, CSR float32 [q, n], over the graph and returns scores [q, n].
"""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, features, knn, order
from slim_retrieval.graph.edges import edges

BLOCK_QUERIES = 1024
BLOCK_VALUES = 2**24  # queries * n of one block of scores: 64 MB as float32


def check(alpha, k, query_neighbors):
    """Raise InputError unless the settings can be used."""
    if not 0 <= alpha < 1:
        raise InputError("alpha {} is out of range; it must be at least 0 and below 1".format(alpha))
    for name, value in (("k", k), ("query_neighbors", query_neighbors)):
        if value < 1:
            raise InputError("{} is {}; it must be at least 1".format(name, value))


def near(gallery, neighbors, count):
    """Return (ids, similarities) of at least min(count, n - 1) neighbours: those given, or computed; -1 pads."""
    return knn.enough(neighbors, gallery, max(1, min(count, len(gallery) - 1)))


def affinities(neighbors, k, gamma):
    """Return A of the mutual k-NN graph, float32 CSR [n, n]."""
    return affinity.affinity(edges(neighbors[0], neighbors[1], k, "mutual"), gamma)


def matrix(neighbors, k, gamma):
    """Return S of the mutual k-NN graph, float32 CSR [n, n]; an isolated image has a row of zeros."""
    return affinity.normalised(affinities(neighbors, k, gamma))


def mass(ids, similarities, gamma, n):
    """Return y, float32 CSR [q, n]: max(0, similarity)^gamma at each row's ids; pads (-1) have no mass."""
    weights = np.where(ids >= 0, affinity.weights(similarities, gamma), 0)
    kept = weights > 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    result = sparse.csr_matrix((weights[kept], ids[kept], indptr), shape=(len(ids), n))
    result.sort_indices()
    return result


def rank(spread, gallery, queries, k, query_neighbors, gamma):
    """Return int32 [q, k]: gallery ids by falling score, then those without a positive score in plain order; -1 pads.

    Args:
      spread: function of y that returns scores, float32 [q, n] or CSR.
      gallery, queries: float32 [n, d] and [q, d], rows L2-normalised.
      k: depth.
      query_neighbors, gamma: of y, see above.
    """
    result = np.empty((len(queries), k), np.int32)
    for start, stop in _blocks(len(queries), len(gallery)):
        part = queries[start:stop]
        near_part = knn.search(part, gallery, min(query_neighbors, len(gallery)))
        first = order.best(spread(mass(near_part[0], near_part[1], gamma, len(gallery))), k, positive=True)
        short = np.flatnonzero(first[:, -1] < 0)
        if len(short):
            plain, _ = knn.search(part[short], gallery, min(k, len(gallery)))
            first[short] = order.complete(first[short], plain, k)
        result[start:stop] = first
    return result


def rank_gallery(spread, gallery, neighbors, k, query_neighbors, gamma):
    """Return int32 [n, k], as `rank`, of each gallery image as a query that is not one: itself is left out by its id.

    Args:
      neighbors: (ids, similarities) of the gallery, itself excluded, at least query_neighbors wide where n allows.
    """
    n = len(gallery)
    result = np.empty((n, k), np.int32)
    for start, stop in _blocks(n, n):
        ids, similarities = (np.asarray(part[start:stop, :query_neighbors]) for part in neighbors)
        own = np.arange(start, stop)
        first = order.best(spread(mass(ids, similarities, gamma, n)), k + 1, positive=True)
        plain = np.full((stop - start, k + 1), -1, np.int32)
        short = np.flatnonzero(first[:, -1] < 0)
        if len(short):
            plain[short, :min(k + 1, n)] = knn.search(gallery[own[short]], gallery, min(k + 1, n))[0]
        result[start:stop] = order.complete(first, plain, k, without=own)
    return result


def checked_queries(queries, gallery):
    """Return the queries as float32 with unit rows; raise InputError where they cannot be used."""
    queries = features.check_features(queries, "query")
    features.check_same_width(queries, gallery)
    return queries


def _blocks(rows, n):
    size = max(1, min(BLOCK_QUERIES, BLOCK_VALUES // n))
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
