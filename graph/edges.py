"""Which neighbours become edges. Every kind gives a symmetric CSR matrix of similarities with a zero diagonal."""
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import lookup

ROWS = 4096  # rows of a sparse product formed at a time; the product of whole graphs may not fit


def edges(ids, similarities, k, kind, features=None):
    """Return the edges among each node's k nearest neighbours.

    Args:
      ids: int32 [n, K], K >= k, each row's neighbours, nearest first, without itself; -1 pads.
      similarities: float32 [n, K].
      k: how many of them count.
      kind: a name in EDGES: knn, mutual, k_reciprocal or shared.
      features: float32 [n, d], rows L2-normalised; gives the similarity of pairs that k_reciprocal joins and that are
        in neither's stored list. Without it such pairs are left out.

    Returns:
      CSR float32 [n, n], exactly symmetric.

    Raises:
      InputError: unknown kind.
    """
    return lookup(EDGES, kind, "kind of edges")(ids, similarities, k, features)


def knn(ids, similarities, k, features=None):
    """Join i and j when either is among the other's k nearest (the union)."""
    directed = nearest(ids, k)
    return _with_similarities(directed + directed.T, ids, similarities, features)


def mutual(ids, similarities, k, features=None):
    """Join i and j when each is among the other's k nearest."""
    return _with_similarities(mutual_pattern(ids, k), ids, similarities, features)


def k_reciprocal(ids, similarities, k, features=None):
    """Join i and j when either is in the other's expanded k-reciprocal set.

    See `k_reciprocal_sets`; similarities of pairs that no list holds come from the features.
    """
    expanded = k_reciprocal_sets(ids, k)
    return _with_similarities(expanded + expanded.T, ids, similarities, features)


def k_reciprocal_sets(ids, k, strict=False):
    """Return int32 CSR [n, n], stored where j is in R*(i, k), i's expanded k-reciprocal set, i itself included.

    Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, equations 2 and 3:
    R(p, k) are p's mutual neighbours; R*(p, k) adds R(q, k/2) for every q in R(p, k) when at least 2/3 of R(q, k/2)
    lies in R(p, k). As in the authors' code a set contains its own node, and k/2 is rounded.

    Args:
      ids: int32 [n, K], K >= k, each row's neighbours, nearest first, without itself; -1 pads.
      k: how many of them count.
      strict: more than 2/3, as the authors' code has it, rather than at least 2/3, as the paper has it.
    """
    own = sparse.identity(len(ids), np.int32, format="csr")
    whole = mutual_pattern(ids, k) + own
    half = mutual_pattern(ids, max(1, int(np.around(k / 2)))) + own
    sizes = np.asarray(half.sum(axis=1)).ravel()
    parts = []
    for start in range(0, len(ids), ROWS):
        rows = whole[start:start + ROWS]
        overlap = (rows @ half).multiply(rows).tocsr()  # |R(p, k) & R(q, k/2)| where q is in R(p, k); half is symmetric
        overlap.data = (3 * overlap.data >= 2 * sizes[overlap.indices] + strict).astype(np.int32)
        overlap.eliminate_zeros()
        parts.append(rows + overlap @ half)
    return sparse.vstack(parts, format="csr")


def shared(ids, similarities, k, features=None):
    """Join mutual neighbours, weighted by the neighbours that they share rather than by their similarity.

    With M_i the set of i's mutual neighbours and i itself: w_ij = |M_i & M_j| / sqrt(|M_i| |M_j|), the cosine of the
    two sets' indicator vectors, in (0, 1]. Sharing is judged by ranks, so it holds where similarities are not
    comparable between dense and sparse regions (Jarvis and Patrick, 1973).
    """
    members = mutual_pattern(ids, k)
    profile = members + sparse.identity(len(ids), np.int32, format="csr")
    scale = 1 / np.sqrt(np.asarray(profile.sum(axis=1), np.float64).ravel())
    parts = [(profile[start:start + ROWS] @ profile).multiply(members[start:start + ROWS]).tocsr()
             for start in range(0, len(ids), ROWS)]
    counts = _clean(sparse.vstack(parts, format="csr"))
    rows = np.repeat(np.arange(len(ids)), np.diff(counts.indptr))
    values = counts.data * (scale[rows] * scale[counts.indices])
    return sparse.csr_matrix((values.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)


EDGES = {"knn": knn, "mutual": mutual, "k_reciprocal": k_reciprocal, "shared": shared}


def nearest(ids, k):
    """Return int32 CSR [n, n] with a 1 at (i, j) when j is among i's k nearest."""
    chosen = np.array(ids[:, :k])  # a plain copy: SciPy 1.7 cannot work on pieces of a read-only memory map
    kept = chosen >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    matrix = sparse.csr_matrix((np.ones(indptr[-1], np.int32), chosen[kept], indptr), shape=(len(ids), len(ids)))
    return _clean(matrix)


def mutual_pattern(ids, k):
    """Return int32 CSR [n, n] with a 1 at (i, j) when each is among the other's k nearest."""
    directed = nearest(ids, k)
    return directed.multiply(directed.T).tocsr()


def _clean(matrix):
    """Return the CSR matrix with sorted indices and nothing on the diagonal."""
    matrix = matrix.tocsr()
    if matrix.diagonal().any():
        matrix = matrix - sparse.diags(matrix.diagonal(), dtype=matrix.dtype, format="csr")
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _with_similarities(pattern, ids, similarities, features):
    """Return the symmetric pattern's edges with the pairs' similarities, the same number in both directions."""
    upper = sparse.triu(pattern, k=1, format="coo")
    rows, columns = upper.row.astype(np.int64), upper.col.astype(np.int64)
    values = pair_similarities(rows, columns, ids, similarities, features)
    known = ~np.isnan(values)
    rows, columns, values = rows[known], columns[known], values[known]
    matrix = sparse.coo_matrix(
        (np.concatenate([values, values]), (np.concatenate([rows, columns]), np.concatenate([columns, rows]))),
        shape=pattern.shape).tocsr()
    matrix.sort_indices()
    return matrix


def pair_similarities(rows, columns, ids, similarities, features=None):
    """Return the similarity of each pair, float32: as stored in the row's list, else in the column's, else computed.

    Args:
      rows, columns: int64, the pairs' nodes.
      ids, similarities: the nodes' neighbours as in `edges`.
      features: float32 [n, d], rows L2-normalised; without it a pair that no list holds has NaN.
    """
    values = _stored(rows, columns, ids, similarities)
    other = np.isnan(values)
    values[other] = _stored(columns[other], rows[other], ids, similarities)
    other = np.flatnonzero(np.isnan(values))
    if features is not None:
        for start in range(0, len(other), ROWS):
            part = other[start:start + ROWS]
            dots = np.einsum("ij,ij->i", features[rows[part]], features[columns[part]])
            values[part] = np.clip(dots, -1, 1)
    return values


def _stored(rows, columns, ids, similarities):
    """Return the stored similarity of each pair, float32; NaN where `column` is not in `row`'s list."""
    values = np.full(len(rows), np.nan, np.float32)
    size = max(1, 2**22 // ids.shape[1]) if ids.shape[1] else len(rows)
    for start in range(0, len(rows), max(1, size)):
        r, c = rows[start:start + size], columns[start:start + size]
        hit = ids[r] == c[:, None]
        place = hit.argmax(axis=1) if hit.shape[1] else np.zeros(len(r), np.int64)
        found = hit.any(axis=1)
        values[start:start + size][found] = similarities[r[found], place[found]]
    return values
