"""The affinity A of one system of CFA: of one k, or the sum over many."""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity, mutual_reach, side_information
from slim_retrieval.graph.edges import edges


def shares(scales, decay):
    """Return what each k of one system counts, float32: 1, or 1 / k^decay where many are added."""
    return [np.float32(1 if decay is None else k ** -float(decay)) for k in scales]


def system(scales, decay, source, neighbors, settings, side=None, cell=None, nested=None):
    """Return (A float32 CSR [n, n], what cfa_queries.appended needs of it, report of the side information or None).

    Args:
      scales: list of k; decay: see `shares`.
      source, neighbors, settings, side: see cfa_solve.solve_level.
      cell: int [n], edges between different cells are left out; None: none.
      nested: what `nested` returned; the sum over the scales is then taken from it.
    """
    counts = shares(scales, decay)
    graphs = [{"k": k, "share": share, "reach": neighbors[1][:, k - 1].copy()} for k, share in zip(scales, counts)]
    if nested is not None:
        return mutual_reach.summed(*nested, scales, counts, settings["gamma"]), graphs, None
    matrix, about = 0, None
    for k, share in zip(scales, counts):
        graph = _cut(edges(neighbors[0], neighbors[1], k, settings["edges"], features=source), cell)
        informed, about = side_information.apply(graph, side, source)
        matrix = matrix + share * affinity.affinity(informed, settings["gamma"])
    return matrix, graphs, about


def nested(scales, neighbors, settings, side=None):
    """Return the graphs of all scales as one (mutual_reach.py), or None where they are not nested.

    That of a smaller k is part of that of a larger one only if edges are mutual neighbours and nothing else is known.
    """
    if settings["edges"] != "mutual" or side is not None:
        return None
    return mutual_reach.joined(neighbors[0], neighbors[1], max(scales))


def _cut(graph, cell):
    """Return the graph without the edges between different cells."""
    if cell is None:
        return graph
    pairs = graph.tocoo()
    kept = cell[pairs.row] == cell[pairs.col]
    return sparse.coo_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=graph.shape).tocsr()
