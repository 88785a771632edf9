"""Node signatures: what a node's neighbourhood looks like, as a vector. Automatic CFA diffuses these.

Two images of one class share neighbours even where their own features differ, so a node's neighbourhood says more than
its feature. The encoding is that of Zhang et al., "Understanding Image Retrieval Re-Ranking: A Graph Neural Network
Perspective", 2020: a row of indicators, spread twice over the nearest few.
"""
import numpy as np
from scipy import sparse

from slim_retrieval.common import memory
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import features, knn

NEIGHBORS = 10  # members of the first neighbourhood, the node itself among them
SPREAD = 3      # nearest ones, the node itself among them, over which a round averages
ROUNDS = 2
EXACT_NODES = 2048  # up to here a signature has one value for each node
WIDTH = 512         # beyond, for each of this many cells
ROWS = 8192


def signatures(gallery, ids, similarities, seed=0, width=None, cells=None):
    """Return float32 [n, width]: each node's signature, rows L2-normalised.

    With N_i the NEIGHBORS nearest of i (i itself first), a_i its indicator row and s_ij the similarities:

        A <- A + A^T,   a_i <- normalise(sum_{j in SPREAD nearest of i} s_ij^2 a_j)        (ROUNDS times)

    A is sparse and n wide. Up to EXACT_NODES nodes it is returned as it is. Beyond, the columns of the images nearest
    to the same one of `width` random images are added up: these are alike as neighbours, so little is lost, while a
    random projection of the same width adds noise of 1 / sqrt(width) to every inner product, more than distant members
    of a class have in common. (k-means makes rounder cells, takes longer than all the rest, and gains nothing.)

    Args:
      gallery: float32 [n, d], rows L2-normalised; used for the cells.
      ids: int32 [n, K], each node's neighbours, nearest first, without itself; -1 pads.
      similarities: float32 [n, K].
      seed, width, cells: of the random images, or these images themselves: see `centres`.
    """
    cells = centres(gallery, seed, width) if cells is None else cells
    n, width = len(ids), len(ids) if cells is None else len(cells)
    members = None if cells is None else _members(knn.search(gallery, cells, 1)[0][:, 0], width)
    spread, last = _encoded(ids, similarities, members)
    result = memory.empty((n, width))
    for start in progress(range(0, n, ROWS), what="signatures", unit="block"):
        result[start:start + ROWS] = (spread[start:start + ROWS] @ last).toarray()
    return features.normalise_rows(result)


def centres(gallery, seed=0, width=None):
    """Return random images whose nearest ones share a column, float32 [width, d]; None where each has a column.

    Args:
      gallery: float32 [n, d], rows L2-normalised.
      seed: of the choice.
      width: how many; None: none up to EXACT_NODES images, WIDTH beyond.
    """
    n = len(gallery)
    width = width or (n if n <= EXACT_NODES else WIDTH)
    if width >= n:
        return None
    return np.asarray(gallery[np.sort(np.random.RandomState(seed).permutation(n)[:width])])


def _encoded(ids, similarities, members):
    """Return two CSR matrices whose product, its rows normalised, are the signatures.

    The columns are added up before the last round's product: what is n wide grows in each round.

    Args:
      members: CSR [n, width], which columns are added up; None: none.
    """
    near = _rows(ids, np.ones_like(similarities), NEIGHBORS)
    spread = _rows(ids, np.maximum(similarities, 0) ** 2, SPREAD)
    for _ in range(ROUNDS - 1):
        near = spread @ (near + near.T.tocsr())
        norms = np.sqrt(np.asarray(near.multiply(near).sum(axis=1), np.float64).ravel())
        near.data *= np.repeat(1 / norms, np.diff(near.indptr)).astype(np.float32)
    turned = near.T.tocsr()
    if members is None:
        return spread, near + turned
    parts = [(near[start:start + ROWS] + turned[start:start + ROWS]) @ members for start in range(0, len(ids), ROWS)]
    return spread, sparse.vstack(parts, format="csr")


def of_queries(ids, gallery_signatures):
    """Return the signatures of nodes outside the graph, a new float32 [q, width]: those of their nearest neighbours.

    Args:
      ids: int32 [q, K], each query's gallery neighbours, nearest first.
      gallery_signatures: float32 [n, width].
    """
    result = np.array(gallery_signatures[ids[:, 0]])
    memory.release(gallery_signatures)
    return result


def _rows(ids, values, count):
    """Return CSR float32 [n, n] with 1 on the diagonal and the values of each row's count - 1 nearest."""
    n = len(ids)
    chosen = np.concatenate([np.arange(n, dtype=np.int32)[:, None], ids[:, :count - 1]], axis=1)
    weights = np.concatenate([np.ones((n, 1), np.float32), values[:, :count - 1]], axis=1)
    kept = chosen >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return sparse.csr_matrix((weights[kept].astype(np.float32), chosen[kept], indptr), shape=(n, n))


def _members(cell, width):
    """Return CSR float32 [n, width] with a 1 for the cell of each node."""
    n = len(cell)
    return sparse.csr_matrix((np.ones(n, np.float32), cell, np.arange(n + 1)), shape=(n, width))
