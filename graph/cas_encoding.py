"""Cluster-aware similarity diffusion, step by step: each node of a graph becomes a sparse distribution over nodes.

Nodes are gallery images, or gallery images and queries. `near` is (ids, similarities) of each node's nearest others,
best first, without itself, -1 pads, as wide as the k's ask for where there are so many nodes. In the publication's
lists a node is its own first neighbour: its k nearest are here the node and k - 1 others.
"""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity, edges

ROWS = 1024  # nodes whose sparse products are formed at a time: whole products may not fit
ITERATIONS = 10  # of the diffusion; the authors' code has no other criterion
CONFIDENT = 2.0  # weight of confident neighbours, in the graph and again in the expansion, as in the authors' code


def encode(near, spread, k1, k2, k3, k4, k5, sigma, mu, width):
    """Return the nodes' distributions, float32 CSR [n, n], rows of sum 1; see cas.CAS for the equations.

    Args:
      near: (ids, similarities) of the nodes' neighbours.
      spread: float32 [n], 1 - each node's smallest similarity to any, above 0.
      k1, k2, k3, k4, k5, sigma, mu, width: see cas.CAS.
    """
    ids, similarities = near
    closeness = np.exp((similarities - 1) / spread[:, None] / np.float32(sigma ** 2))
    confident = members(ids, k1)
    candidates = edges.k_reciprocal_sets(ids, k2, strict=True)
    values = diffuse(listed(ids, closeness, k1 - 1), confident, mu, width)
    values = sample(values, candidates)
    transitions = row_stochastic(listed(ids, closeness, k3 - 1))
    values = smooth(values, candidates, confident, transitions)
    encoded = row_stochastic(with_data(candidates, values))
    return expand(encoded, ids, confident, k4, k5)


def members(ids, k):
    """Return float32 CSR [n, n] with a 1 for each of a node's mutual k nearest, itself among them."""
    return (edges.mutual_pattern(ids, k - 1) + sparse.identity(len(ids), np.int32, format="csr")).astype(np.float32)


def diffuse(weights, confident, mu, width):
    """Return F, the bidirectional similarity diffusion, float32 CSR [n, n], symmetric.

    With W the weights, those of confident pairs doubled, made symmetric as (W + W^T) / 2, S = D^-1/2 W D^-1/2 and
    a = 1 / (1 + mu), F is W at first and then, 10 times,

        F <- a/2 (F S + S F) + (1 - a) I

    Each time the `width` largest values of each row are kept (and, as F is symmetric, of each column), so that a row
    has 2 width values on average; with width >= n nothing is lost. Continued for ever it would be (1 - a) (I - a S)^-1.

    Args:
      weights: float32 CSR [n, n], of each node's nearest others.
      confident: see `members`.
      mu, width: see cas.CAS.
    """
    weights = weights + (CONFIDENT - 1) * weights.multiply(confident)
    weights = ((weights + weights.T) / 2).tocsr().astype(np.float32)
    stochastic = affinity.normalised(weights)
    alpha, n = 1 / (1 + mu), weights.shape[0]
    source = sparse.identity(n, np.float32, format="csr") * np.float32(1 - alpha)
    found = weights
    for _ in range(ITERATIONS):
        parts = []
        for start in range(0, n, ROWS):
            rows = slice(start, start + ROWS)
            product = found[rows] @ stochastic + stochastic[rows] @ found  # S F is (F S)^T, but its rows are at hand
            parts.append(largest((product * np.float32(alpha / 2) + source[rows]).tocsr(), width))
        found = sparse.vstack(parts, format="csr")
        found = found.maximum(found.T.tocsr())
    return found


def smooth(values, candidates, confident, transitions):
    """Return the values after neighbour-guided similarity smoothing, float32 [candidates.nnz].

    Each candidate j of a node i has a weight w_ij: how well two steps lead from it to i's confident neighbours C_i,

        w_ij = min(a_i, mean_{c in C_i} (T T)_jc),   w_ij = a_i for j in C_i,   a_i = mean_{c in C_i} (T T)_cc

    and f_ij <- f_ij w_ij / a_i + mean_j f_ij - mean_j(f_ij w_ij) / a_i: what badly connected candidates give up is
    shared out. A node with no confident neighbour, or with at most one candidate more, keeps its values.

    Args:
      values: float32 [candidates.nnz], f.
      candidates: CSR [n, n], sets, confident ones included, the node itself among them.
      confident: see `members`.
      transitions: T, float32 CSR [n, n], rows of sum 1.
    """
    n, means = candidates.shape[0], row_stochastic(confident)
    returns = np.asarray(transitions.multiply(transitions.T).sum(axis=1)).ravel()  # the diagonal of T T
    anchors = means @ returns
    counts, sure = np.diff(candidates.indptr), np.diff(confident.indptr)
    smoothed = (sure > 1) & (counts - sure > 1) & (anchors > 0)
    anchors = np.where(smoothed, anchors, 1).astype(np.float32)
    rows = np.repeat(np.arange(n), counts)
    reached, backwards = np.empty(len(values), np.float32), transitions.T.tocsr()
    for start in range(0, n, ROWS):
        part = candidates[start:start + ROWS]
        first = candidates.indptr[start]
        reached[first:first + part.nnz] = sample(means[start:start + ROWS] @ backwards @ backwards, part)
    weights = np.minimum(reached / anchors[rows], 1)
    weights[(sample(confident, candidates) > 0) | ~smoothed[rows]] = 1
    moved = values * weights
    return moved + (np.bincount(rows, values - moved, n) / counts)[rows].astype(np.float32)


def expand(encoded, ids, confident, k4, k5):
    """Return the expanded distributions, float32 CSR [n, n]: rows of G G.

    E is the mean over a node and its k4 - 1 nearest others (weight 1) and over its confident neighbours (weight 2) of
    the encodings; G is the k5 largest values of each row of E E, divided by their sum.
    """
    nearest = row_stochastic(edges.nearest(ids, k4 - 1) + sparse.identity(len(ids), np.int32, format="csr"))
    mixed = ((nearest + CONFIDENT * row_stochastic(confident)) / (1 + CONFIDENT)).tocsr().astype(np.float32) @ encoded
    kept = [largest(mixed[start:start + ROWS] @ mixed, k5) for start in range(0, len(ids), ROWS)]
    kept = row_stochastic(sparse.vstack(kept, format="csr"))
    return (kept @ kept).tocsr()


def listed(ids, values, k):
    """Return float32 CSR [n, n] with the values of each node's k nearest; pads left out."""
    ids, values = np.asarray(ids[:, :max(k, 0)]), np.asarray(values[:, :max(k, 0)])
    kept = ids >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    result = sparse.csr_matrix((values[kept].astype(np.float32), ids[kept], indptr), shape=(len(ids), len(ids)))
    result.sort_indices()
    return result


def largest(matrix, k):
    """Return the CSR matrix with the k largest of each row's values, which must be positive; ties: the smaller id."""
    kept = np.ones(matrix.nnz, bool)
    # A positive float's bits order as the float does: one integer orders by falling value, then by rising id.
    keys = (2**31 - 1 - matrix.data.view(np.int32).astype(np.int64)) << 32 | matrix.indices
    for row in np.flatnonzero(np.diff(matrix.indptr) > k):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        kept[part] = keys[part] <= np.partition(keys[part], k - 1)[k - 1]
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def row_stochastic(matrix):
    """Return the CSR matrix, not negative, as float32 with rows of sum 1; a row of zeros stays."""
    sums = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    return with_data(matrix, matrix.data / np.repeat(np.where(sums > 0, sums, 1), np.diff(matrix.indptr)))


def sample(matrix, pattern):
    """Return the matrix's values, float32, where the pattern, CSR of the same shape, has entries, in its order."""
    if pattern.nnz == 0:
        return np.zeros(0, np.float32)
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    return np.asarray(matrix[rows, pattern.indices]).ravel().astype(np.float32)


def with_data(matrix, data):
    """Return a float32 CSR matrix of the same pattern with other values."""
    return sparse.csr_matrix((data.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
