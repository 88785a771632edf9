"""One level of CFA: the diffusion over its scales."""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity, cells, diffusion, features, side_information
from slim_retrieval.graph.edges import edges


def solve_level(level, current, source, neighbors, parts, settings, side=None, decay=None):
    """Return (output of the level, its systems, its report).

    Args:
      level: dict of k, weights, alpha, cells (cfa_levels.check_levels).
      current: float32 [n, w], what is diffused.
      source: float32 [n, any], features of the edges.
      neighbors: (ids, similarities) of `source`.
      parts: list of column slices of `current`, each normalised by itself.
      settings: dict of gamma, edges, tolerance, max_iterations, storage, seed.
      side: side_information.Side, or None.
      decay: None: one system for each scale, whose normalised solutions are averaged by the weights. A number: one
        graph and one system for all scales, A = sum_k A_k / k^decay.

    Returns:
      output: float32 [n, w], rows of each part L2-normalised.
      systems: list of dicts, what cfa_queries.appended needs of each system.
      report: dict of plain data.
    """
    cell = None if level["cells"] == 1 else cells.cells(current, level["cells"], settings["seed"])
    groups = [[k] for k in level["k"]] if decay is None else [level["k"]]
    weights = level["weights"] if decay is None else [1.0]
    total, systems, reports = None, [], []
    for group, weight in zip(groups, weights):
        matrix, graphs, about = 0, [], None
        for k in group:
            graph = _cut(edges(neighbors[0], neighbors[1], k, settings["edges"], features=source), cell)
            informed, about = side_information.apply(graph, side, source)
            share = np.float32(1 if decay is None else k ** -float(decay))
            matrix = matrix + share * affinity.affinity(informed, settings["gamma"])
            graphs.append({"k": k, "share": share, "reach": neighbors[1][:, k - 1].copy()})
        solution, info = diffusion.solve(affinity.normalised(matrix), level["alpha"], current,
                                         settings["tolerance"], settings["max_iterations"],
                                         storage=settings["storage"])
        systems.append({"graphs": graphs, "weight": weight, "lengths": _lengths(solution, parts),
                        "degree": np.asarray(matrix.sum(axis=1), np.float32).ravel()})
        features.normalise_parts(solution, parts)
        reports.append(dict(info, k=group[0] if decay is None else group,
                            edges_per_node=round(matrix.nnz / len(current), 2),
                            isolated_nodes=affinity.isolated(matrix), **({"side": about} if about else {})))
        if len(groups) > 1:
            solution *= np.float32(weight)
        total = solution if total is None else np.add(total, solution, out=total)
    if len(groups) > 1:
        features.normalise_parts(total, parts)
    return total, systems, {"alpha": level["alpha"], "cells": level["cells"], "scales": reports}


def _cut(graph, cell):
    """Return the graph without the edges between different cells."""
    if cell is None:
        return graph
    pairs = graph.tocoo()
    kept = cell[pairs.row] == cell[pairs.col]
    return sparse.coo_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=graph.shape).tocsr()


def _lengths(rows, parts):
    """Return the lengths of each part of the rows, a list of float32 [n]."""
    return [np.sqrt(np.einsum("ij,ij->i", rows[:, part], rows[:, part])) for part in parts]
