"""k-reciprocal re-ranking in its textbook form, on n x n arrays: the yardstick of rerank_speed.py and of the tests.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, with the choices of the
authors' Python code: squared Euclidean distances over each row's largest, sets that hold their own node, an expansion
by overlaps of more than 2/3. One loop over the nodes for the encodings, one for the Jaccard distances, all in NumPy.
"""
import numpy as np
from scipy.spatial.distance import cdist


def distances(original, ranks, num_queries, k1=20, k2=6, lambda_value=0.3):
    """Return the re-ranked distances of the first `num_queries` nodes to all nodes, float32 [num_queries, n].

    Args:
      original: float32 [n, n], `by_products` or `by_cdist` of all nodes, queries first.
      ranks: int32 [n, n], each row's nodes by rising distance.
      num_queries: how many nodes are queries; n where every node is one.
    """
    encoded = np.zeros_like(original)
    for i in range(len(original)):
        members = expanded_set(ranks, i, k1)
        weights = np.exp(-original[i, members])
        encoded[i, members] = weights / weights.sum()
    if k2 > 1:
        encoded = np.stack([encoded[ranks[i, :k2]].mean(axis=0) for i in range(len(original))])
    jaccard = jaccard_distances(encoded, num_queries)
    return (1 - lambda_value) * jaccard + lambda_value * original[:num_queries]


def by_products(nodes):
    """Return squared Euclidean distances over each row's largest, float32 [n, n], from one matrix product."""
    squares = np.einsum("ij,ij->i", nodes, nodes)
    original = squares[:, None] + squares - 2 * (nodes @ nodes.T)
    return original / original.max(axis=1, keepdims=True)


def by_cdist(nodes):
    """Return the same, pair by pair in float64, as the authors' code does."""
    original = cdist(nodes, nodes) ** 2
    return (original / original.max(axis=1, keepdims=True)).astype(np.float32)


def reciprocal_set(ranks, i, k):
    """Return the nodes among i's k + 1 nearest (i itself is one) that have i among theirs."""
    nearest = ranks[i, :k + 1]
    return nearest[(ranks[nearest, :k + 1] == i).any(axis=1)]


def expanded_set(ranks, i, k):
    """Return the sorted ids of R*(i, k)."""
    own = reciprocal_set(ranks, i, k)
    parts = [own]
    for candidate in own:
        theirs = reciprocal_set(ranks, candidate, int(np.around(k / 2)))
        if 3 * len(np.intersect1d(theirs, own)) > 2 * len(theirs):
            parts.append(theirs)
    return np.unique(np.concatenate(parts))


def jaccard_distances(encoded, num_queries):
    """Return 1 - sum of minima / sum of maxima for the first rows against all, float32 [num_queries, n]."""
    holders = [np.flatnonzero(column) for column in encoded.T]
    jaccard = np.empty((num_queries, len(encoded)), np.float32)
    for i in range(num_queries):
        minima = np.zeros(len(encoded), np.float32)
        for j in np.flatnonzero(encoded[i]):
            minima[holders[j]] += np.minimum(encoded[i, j], encoded[holders[j], j])
        jaccard[i] = 1 - minima / (2 - minima)
    return jaccard
