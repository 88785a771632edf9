"""Which queries the report shows with their ranked lists, and those lists: right or wrong, and what moved."""
import numpy as np

from slim_retrieval.evaluation import report_curves

KINDS = {"c": "correct", "w": "wrong", "j": "junk"}


def groups(average_precisions, num_positives, count):
    """Return [(title, rows)]: worst, best, those where methods differ most, and evenly spread ones.

    Args:
      average_precisions: float [methods, num_queries]; NaN (no positives) is never picked.
      num_positives: int [num_queries]; of equal queries those with more positives come first.
      count: queries to pick, about, in all groups together; when there are no more than that, all in one group.

    Returns:
      rows are int arrays, in the order in which to show them; a query may be in several groups.
    """
    average_precisions = np.asarray(average_precisions)
    rows = np.flatnonzero(~np.isnan(average_precisions[0]))
    if count <= 0:
        return []
    mean = average_precisions[:, rows].mean(axis=0)
    spread = average_precisions[:, rows].max(axis=0) - average_precisions[:, rows].min(axis=0)
    several = len(average_precisions) > 1
    by_mean = rows[np.lexsort((rows, -num_positives[rows], mean))]
    if len(rows) <= count:
        return [("All, lowest AP first", by_mean)]
    each = max(1, count // (4 if several else 3))
    highest = rows[np.lexsort((rows, -num_positives[rows], -mean))]
    found = [("Lowest AP", by_mean[:each]), ("Highest AP", highest[:each])]
    if several:
        order = np.lexsort((rows, -num_positives[rows], -spread))
        found.append(("Methods differ most", rows[order[spread[order] > 0][:each]]))
    found.append(("Spread from lowest to highest AP", by_mean[evenly(len(rows), each)]))
    return [(title, picked) for title, picked in found if len(picked)]


def evenly(total, count):
    """Return `count` places, evenly spaced over 0 .. total - 1 with both ends among them; one: the middle."""
    if count == 1:
        return np.array([total // 2])
    return np.round(np.linspace(0, total - 1, count)).astype(int)


def lists(row, rankings, relevance, reference, first=10):
    """Return what each method returned first for one query: {method: [(gallery row, kind, place in reference)]}.

    Args:
      row: the query.
      rankings: {method: int [num_queries, k]}; may be memory-mapped.
      relevance: a `relevance.Relevance`.
      reference: the method whose places the others' are compared with, counted from 1; 0: it did not return the image.
      first: places to show.
    """
    before = np.asarray(rankings[reference][row])
    before = before[before >= 0]
    found = {}
    for name, ranks in rankings.items():
        ids = np.asarray(ranks[row, :first])
        hits, junk = relevance.judge(np.array([row]), ids[np.newaxis])
        marks = report_curves.marks_of(ids[np.newaxis], hits, junk)[0]
        found[name] = [(int(i), mark, _place(before, i)) for i, mark in zip(ids, marks)]
    return found


def _place(ids, wanted):
    places = np.flatnonzero(ids == wanted)
    return int(places[0]) + 1 if len(places) else 0
