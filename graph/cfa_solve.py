"""One level of CFA: the diffusion over its scales."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph import affinity, cells, cfa_graph, diffusion, features, growth_solve


def solve_level(level, inputs, source, neighbors, parts, settings, side=None, decay=None, before=None, nested=None):
    """Return (output of the level, its systems, its report).

    Args:
      level: dict of k, weights, alpha, cells (cfa_levels.check_levels).
      inputs: list of float32 [n, w_p], what is diffused; side by side they are the columns of the output.
      source: float32 [n, any], features of the edges.
      neighbors: (ids, similarities) of `source`.
      parts: list of column slices of the output, one for each input, each normalised by itself.
      settings: dict of gamma, edges, tolerance, max_iterations, storage, seed, and keep: whether the systems keep
        their normalised solutions, where there are several.
      side: side_information.Side, or None.
      decay: None: one system for each scale, whose normalised solutions are averaged by the weights. A number: one
        graph and one system for all scales, A = sum_k A_k / k^decay.
      before: function of a system's number that gives its solution for a graph that has changed a little since, float32
        [n, sum of w_p], rows not normalised; then only what the change reaches is solved for (growth_solve.py).
      nested: what cfa_graph.nested returned, or None.

    Returns:
      output: float32 [n, sum of w_p], rows of each part L2-normalised.
      systems: list of dicts, what cfa_queries.appended needs of each system.
      report: dict of plain data.
    """
    n = len(source)
    cell = None if level["cells"] == 1 else cells.cells(inputs[0], level["cells"], settings["seed"])
    groups = [[k] for k in level["k"]] if decay is None else [level["k"]]
    weights = level["weights"] if decay is None else [1.0]
    total, systems, reports = None, [], []
    for number, (group, weight) in enumerate(zip(groups, weights)):
        matrix, graphs, about = cfa_graph.system(group, decay, source, neighbors, settings, side, cell, nested)
        scaled = affinity.normalised(matrix)
        if before is None:
            solution = memory.empty((n, parts[-1].stop))
            info = _solve(scaled, level["alpha"], inputs, parts, settings, solution)
        else:
            solution = before(number)
            info = _settle(scaled, level["alpha"], inputs, parts, settings, solution)
        systems.append({"graphs": graphs, "weight": weight, "lengths": _lengths(solution, parts),
                        "degree": np.asarray(matrix.sum(axis=1), np.float32).ravel()})
        features.normalise_parts(solution, parts)
        if settings["keep"] and len(groups) > 1:
            systems[-1]["solution"] = solution.copy()
        reports.append(dict(info, k=group[0] if decay is None else group,
                            edges_per_node=round(matrix.nnz / n, 2),
                            isolated_nodes=affinity.isolated(matrix), **({"side": about} if about else {})))
        if len(groups) > 1:
            solution *= np.float32(weight)
        total = solution if total is None else np.add(total, solution, out=total)
    if len(groups) > 1:
        features.normalise_parts(total, parts)
    return total, systems, {"alpha": level["alpha"], "cells": level["cells"], "scales": reports}


def _solve(matrix, alpha, inputs, parts, settings, out):
    """Diffuse each input into its columns of `out`; return the solver's info, of the part that was hardest."""
    order = diffusion.near_each_other(matrix)
    infos = [diffusion.solve(matrix, alpha, array, settings["tolerance"], settings["max_iterations"], out=out[:, part],
                             storage=settings["storage"], order=order)[1] for array, part in zip(inputs, parts)]
    return max(infos, key=lambda info: (not info["converged"], info["iterations"], info["residual"]))


def _settle(matrix, alpha, inputs, parts, settings, solution):
    """Mend the solution of a graph that has changed, in place; return the report of the part with the largest error."""
    reports = []
    for array, part in zip(inputs, parts):
        own = np.ascontiguousarray(solution[:, part])
        reports.append(growth_solve.settle(matrix, alpha, array, own, settings["tolerance"]))
        solution[:, part] = own
    return max(reports, key=lambda report: (not report["converged"], report["error"]))


def _lengths(rows, parts):
    """Return the lengths of each part of the rows, a list of float32 [n]."""
    result = [np.empty(len(rows), np.float32) for _ in parts]
    for start, stop in features.blocks(*rows.shape):
        for part, lengths in zip(parts, result):
            lengths[start:stop] = np.linalg.norm(rows[start:stop, part], axis=1)
    memory.release(rows)
    return result
