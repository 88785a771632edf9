"""Images added to the gallery of a fitted CFA, and taken away, without fitting anew.

Neighbours are searched for new images alone, and for those whose list has lost too many (growth_graph.py); the system
is solved where its equations no longer hold (growth_solve.py). Edges and node signatures are told from the lists for
all images again: that is quick.

What stays as it was at the fit: the mean that centring takes away, the random images whose neighbours share a column
of the signatures, the strength that automatic CFA chose. They were chosen for the images of then, so that a gallery of
which more than a quarter has changed is fitted anew.
"""
import time
from collections import namedtuple

import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import centring, cfa_automatic, features, growth_graph, growth_state, signatures
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.graph.cfa_levels import check_levels, needed_neighbors
from slim_retrieval.graph.cfa_solve import solve_level

CHANGED = 0.25  # part of the fitted images; when more were added or deleted since, all is chosen anew

# came_from: int64 [n], where each image was before, -1 for new ones. rows: uint64 [n], digests of all rows. added,
# deleted: how many. anew: why all has to be fitted anew, or None.
Changes = namedtuple("Changes", "came_from rows added deleted anew")


def changes(model, gallery):
    """Return the Changes between the gallery of a CFA and another, whose rows may be in another order.

    Args:
      model: CFA, fitted or updated, with `keep`.
      gallery: float32 [n, d], rows L2-normalised, as check_features gives them; may be memory-mapped.
    """
    if model.growth_ is None:
        return Changes(None, None, len(gallery), 0, "it was fitted without what growing needs")
    rows = growth_state.digests(gallery)
    came_from = growth_state.origins(model.growth_["rows"], rows)
    kept = int(np.sum(came_from >= 0))
    added, deleted = len(gallery) - kept, len(model.gallery_) - kept
    return Changes(came_from, rows, added, deleted, _anew(model, len(gallery), added + deleted))


def update(model, gallery, found=None, tolerance=None):
    """Return a CFA of another gallery, made from one whose gallery was nearly the same; `model` stays as it is.

    Its report_["growth"] says what was done. The error stated there is a bound on |Y - Y*| / |Y|, over the solutions Y
    before their rows are normalised and the exact ones Y* of the same graph.

    Args:
      model, gallery: as in `changes`.
      found: what `changes` returned of them, or None.
      tolerance: see growth_solve.settle; None: the CFA's, or that of automatic ones where that is larger.

    Raises:
      InputError: all has to be fitted anew; the message says why.
    """
    start, found = time.perf_counter(), found or changes(model, gallery)
    if found.anew:
        raise InputError("this CFA has to be fitted anew: {}".format(found.anew))
    if found.added:
        features.check_features(np.asarray(gallery[found.came_from < 0]), "new")
    result = CFA(**{name: value for name, value in vars(model).items() if not name.endswith("_")})
    result.mean_ = result.edge_mean_ = model.mean_
    result.original_ = result.source_ = centring.apply(gallery, model.mean_)
    levels, state = _levels(model, len(gallery)), model.growth_
    needed = needed_neighbors(levels, len(gallery))
    ids, similarities, lists = growth_graph.update((state["ids"], state["similarities"]), found.came_from,
                                                   result.source_, needed, needed + growth_state.SPARE)
    tolerance = max(model.tolerance, cfa_automatic.TOLERANCE) if tolerance is None else tolerance
    _solve(result, model, levels, (ids, similarities), found.came_from, tolerance)
    changed = state["changed"] + found.added + found.deleted
    result.growth_ = dict(state, ids=ids, similarities=similarities, changed=changed, rows=found.rows)
    scales = [scale for level in result.report_["levels"] for scale in level["scales"]]
    result.report_["growth"] = dict(lists, added=found.added, deleted=found.deleted, changed_since_fit=changed,
                                    share=max(scale["share"] for scale in scales),
                                    error=max(scale["error"] for scale in scales),
                                    converged=all(scale["converged"] for scale in scales),
                                    seconds=time.perf_counter() - start)
    return result


def told(report):
    """Return the report of an update as a line of text."""
    return ("{added} images added and {deleted} deleted in {seconds:.1f} s; {share:.1%} of all solved for; error at "
            "most {error:.1%} of the solution{}".format("" if report["converged"] else ": not converged", **report))


def _anew(model, n, changed):
    """Return why a gallery that is now of n images has to be fitted anew, or None."""
    state = model.growth_
    if model.side_ is not None or model.source_ is not model.original_:
        return "its edges come from more than the gallery's features"
    if state["changed"] + changed > CHANGED * state["fitted"]:
        return "{} images were added or deleted since {} were fitted, more than {:.0%}".format(
            state["changed"] + changed, state["fitted"], CHANGED)
    if not model.levels and state["centres"] is None:
        return "up to {} images are fitted in a moment".format(signatures.EXACT_NODES)
    if model.levels and (len(model.levels) > 1 and model.graph_from == "previous"
                         or any(level["cells"] > 1 for level in check_levels(model.levels, n))):
        return "graphs from the level before, and cells, change as a whole"
    before = [[graph["k"] for system in systems for graph in system["graphs"]] for systems in model.systems_]
    if before != [level["k"] for level in _levels(model, n)]:
        return "{} images call for other scales than {} did".format(n, len(model.gallery_))
    return None


def _levels(model, n):
    """Return the checked levels, with the alpha of the fit."""
    levels = check_levels(model.levels or cfa_automatic.levels(n), n)
    return [dict(level, alpha=report["alpha"]) for level, report in zip(levels, model.report_["levels"])]


def _solve(result, model, levels, neighbors, came_from, tolerance):
    """Solve level after level from the solutions of before; fill what CFA's fit does."""
    settings = dict(vars(model), tolerance=tolerance)
    result.parts_, result.signatures_, result.levels_, result.systems_ = model.parts_, None, [], []
    result.side_, result.report_ = None, dict(model.report_, levels=[])
    inputs, decay = [result.original_], None
    if not model.levels:
        result.signatures_ = signatures.signatures(result.source_, *neighbors, cells=model.growth_["centres"])
        inputs, decay = [result.signatures_, result.original_], dict(cfa_automatic.STRENGTHS)[levels[0]["alpha"]]
    for number, level in enumerate(levels):
        output, systems, report = solve_level(
            level, inputs, result.source_, neighbors, model.parts_, settings, decay=decay,
            before=lambda system, number=number: _before(model, number, system, came_from))
        result.levels_.append(output)
        result.systems_.append(systems)
        result.report_["levels"].append(report)
        inputs = [output]
    result.gallery_ = result.levels_[-1]
    if not model.levels:
        result.gallery_ = cfa_automatic.combine(output, result.original_, model.parts_, model.residual)
        result.levels_ = [cfa_automatic.Output(result.gallery_, result.original_, model.parts_, model.residual)]


def _before(model, level, system, came_from):
    """Return a system's earlier solution, float32 [n, w], rows not normalised; zeros for new images."""
    about = model.systems_[level][system]
    rows, kept = about.get("solution", model.levels_[level]), np.flatnonzero(came_from >= 0)
    result = memory.empty((len(came_from), rows.shape[1]))
    result[:] = 0
    for start, stop in features.blocks(len(kept), rows.shape[1]):
        places = came_from[kept[start:stop]]
        block = np.array(rows[places])
        for part, lengths in zip(model.parts_, about["lengths"]):
            block[:, part] *= lengths[places][:, None]
        result[kept[start:stop]] = block
        memory.release(rows, result)
    return result
