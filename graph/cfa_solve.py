"""One level of CFA: the diffusion at each of its scales, and their sum."""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity, cells, diffusion, features, side_information
from slim_retrieval.graph.edges import edges


def solve_level(level, current, source, neighbors, parts, settings, side=None):
    """Return (output of the level, its scales, its report).

    Args:
      level: dict of k, weights, alpha, cells (cfa_levels.check_levels).
      current: float32 [n, w], what is diffused.
      source: float32 [n, any], features of the edges.
      neighbors: (ids, similarities) of `source`.
      parts: list of column slices of `current`, each normalised by itself.
      settings: dict of gamma, edges, tolerance, max_iterations, seed.
      side: side_information.Side, or None.

    Returns:
      output: float32 [n, w], rows of each part L2-normalised.
      scales: list of dicts, what cfa_queries.appended needs of each scale.
      report: dict of plain data.
    """
    cell = None if level["cells"] == 1 else cells.cells(current, level["cells"], settings["seed"])
    total, solution, scales, reports = np.zeros(current.shape, np.float32), None, [], []
    for k, weight in zip(level["k"], level["weights"]):
        graph = _cut(edges(neighbors[0], neighbors[1], k, settings["edges"], features=source), cell)
        informed, about = side_information.apply(graph, side, source)
        weighted = affinity.affinity(informed, settings["gamma"])
        solution, info = diffusion.solve(affinity.normalised(weighted), level["alpha"], current,
                                         settings["tolerance"], settings["max_iterations"], out=solution)
        lengths = _add_normalised(total, solution, weight, parts)
        reports.append(dict(info, k=k, edges_per_node=round(weighted.nnz / len(current), 2),
                            isolated_nodes=affinity.isolated(weighted), **({"side": about} if about else {})))
        scales.append({"k": k, "weight": weight, "reach": neighbors[1][:, k - 1].copy(),
                       "degree": np.asarray(weighted.sum(axis=1), np.float32).ravel(), "lengths": lengths})
    for part in parts:
        features.normalise_rows(total[:, part])
    return total, scales, {"alpha": level["alpha"], "cells": level["cells"], "scales": reports}


def _cut(graph, cell):
    """Return the graph without the edges between different cells."""
    if cell is None:
        return graph
    pairs = graph.tocoo()
    kept = cell[pairs.row] == cell[pairs.col]
    return sparse.coo_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=graph.shape).tocsr()


def _add_normalised(total, solution, weight, parts):
    """total += weight * normalise(solution) part by part; return the rows' lengths, a list of [n]; `solution` stays."""
    lengths = [np.empty(len(total), np.float32) for _ in parts]
    for start, stop in features.blocks(*total.shape):
        for part, length in zip(parts, lengths):
            rows = solution[start:stop, part]
            norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            length[start:stop] = norms
            share = np.float32(weight) / np.maximum(norms, np.finfo(np.float32).tiny)
            total[start:stop, part] += rows * share[:, None]
    return lengths
