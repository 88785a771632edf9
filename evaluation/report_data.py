"""What the report's page draws from, as plain data for JSON: small, whatever the size of the run.

A picture's key is "q<row>" or "g<row>". Labels are numbered; paths lose the folder that all of them share.
"""
import os

import numpy as np

from slim_retrieval.evaluation import report_curves, report_distances, report_map, report_queries

FIRST = 10  # results shown for each query and method
LISTED = 20000  # queries in the table of APs at most
LISTED_CELLS = 100000  # its rows times methods at most
SHOWN_CELLS = 2000  # queries with ranked lists times methods at most
CLIP = 100  # bytes kept of a label or path
SPLITS = ("query", "gallery")


class Images:
    """Labels and paths of the images that the page names, by split and row."""

    def __init__(self, ground_truth):
        self._indexes = {"query": ground_truth.query, "gallery": ground_truth.gallery}
        self._codes = {}
        self.folder = _common_folder(self._indexes["query"].paths + self._indexes["gallery"].paths)

    def label(self, split, row):
        """Return the number of an image's label in `labels`."""
        labels = self._indexes[split].labels
        return self._codes.setdefault(clip(labels[row] if labels else ""), len(self._codes))

    def path(self, split, row):
        """Return an image's path without `folder`; a long one keeps its end."""
        return clip(self._indexes[split].paths[row][len(self.folder):], end=True)

    @property
    def labels(self):
        """All labels that were asked for."""
        return list(self._codes)


def clip(text, end=False):
    """Return the beginning (or end) of a text, at most CLIP bytes of UTF-8; what UTF-8 cannot say becomes ?."""
    content = text.encode("utf-8", "replace")
    if len(content) <= CLIP:
        return content.decode("utf-8")
    room = CLIP - len("\u2026".encode("utf-8"))
    if end:
        return "\u2026" + content[-room:].decode("utf-8", "ignore")
    return content[:room].decode("utf-8", "ignore") + "\u2026"


def queries(rows, average_precisions, num_positives, marks, images):
    """Return the columns of the table of queries: row, label, path, positives; ap (times 10,000) and marks by method.

    Args:
      rows: int, the queries to list.
      average_precisions: float [methods, num_queries].
      num_positives: int [num_queries].
      marks: for each method the list `Curves.marks`.
      images: the `Images`.
    """
    rows = [int(row) for row in rows]
    return {"row": rows, "label": [images.label("query", row) for row in rows],
            "path": [images.path("query", row) for row in rows],
            "positives": [int(num_positives[row]) for row in rows],
            "ap": np.round(10000 * average_precisions[:, rows]).astype(int).tolist(),
            "marks": [[one[row] for row in rows] for one in marks]}


def listed(average_precisions, always, seed=0):
    """Return the queries to list, ascending: all with an AP, or a seeded sample that holds those of `always`."""
    rows = np.flatnonzero(~np.isnan(average_precisions[0]))
    room = min(LISTED, LISTED_CELLS // len(average_precisions))
    if len(rows) <= room:
        return rows
    always = np.array(sorted(always), int)
    others = np.random.RandomState(seed).permutation(np.setdiff1d(rows, always))
    return np.sort(np.concatenate([always, others[:max(0, room - len(always))]]))


def ranked_lists(rows, methods, rankings, relevance, images):
    """Return (lists, shown): lists[query][method] = [[gallery row, mark, place in the first method], ...].

    shown: {gallery row: [label, path]} of every image in them.
    """
    lists, shown = {}, {}
    for row in rows:
        found = report_queries.lists(row, {name: rankings[name] for name in methods}, relevance, methods[0], FIRST)
        lists[int(row)] = [found[name] for name in methods]
        for result in found.values():
            for i, _, _ in result:
                shown[i] = [images.label("gallery", i), images.path("gallery", i)]
    return lists, shown


def curves(measured, num_positives, average_precisions, depth):
    """Return precision by recall, recall by depth and mAP by the neighbourhood's recall, one line a method.

    Args:
      measured: list of `Curves`, the first of the method that the others are compared with.
      num_positives: int [num_queries].
      average_precisions: float [methods, num_queries].
      depth: the depth that `Curves.near` was made with.
    """
    longest = max(len(one.recall) for one in measured)
    depths = np.unique(np.round(np.geomspace(1, longest, 120)).astype(int))
    middle, count, means = report_curves.by_neighbours(measured[0].near, average_precisions)
    return {"precision": [_round(one.precision) for one in measured],
            "depths": depths.tolist(),
            "recall": [_round(one.recall[np.minimum(depths, len(one.recall)) - 1]) for one in measured],
            "perfect": _round(report_curves.perfect_recall(num_positives, longest)[depths - 1]),
            "near": {"depth": depth, "share": _round(middle), "queries": count.tolist(), "ap": _round(means)}}


def neighbourhood(num_positives, k):
    """Return the depth at which the neighbourhood is judged: the median number of positives, 10 to 100, at most k."""
    return int(min(k, max(10, min(100, np.median(num_positives[num_positives > 0])))))


def distances(features, relevance, seed=0):
    """Return the histogram of distances for the page, or None when there is no pair of either kind."""
    matching, others = report_distances.sample(features[0], features[1], relevance, seed)
    if not len(matching) or not len(others):
        return None
    found = report_distances.histogram(matching, others)
    return dict({name: _round(values, 5) for name, values in found.items()},
                pairs=[len(matching), len(others)], closer=round(report_distances.closer(matching, others), 4))


def embedding(features, ground_truth, images, seed=0):
    """Return the map for the page, {layouts, points}, or None when there are too few images.

    A layout is [x, y, x, y, ...]; a point is [picture key, label, path].
    """
    indexes = (ground_truth.query, ground_truth.gallery)
    rows = report_map.draw(*[index.labels or [""] * len(index.paths) for index in indexes], seed=seed)
    found = report_map.layouts(np.concatenate([features[i][rows[i]] for i in range(2)]), seed)
    points = [[split[0] + str(row), images.label(split, row), images.path(split, row)]
              for split, some in zip(SPLITS, rows) for row in some]
    return {"layouts": {name: places.ravel().tolist() for name, places in found.items()}, "points": points} \
        if found else None


def key(split, row):
    """Return a picture's key."""
    return split[0] + str(row)


def _round(values, digits=4):
    return np.round(values, digits).tolist()


def _common_folder(paths):
    """Return the beginning that all paths share, up to its last slash."""
    first = os.path.commonprefix([min(paths), max(paths)])
    return first[:first.rfind("/") + 1]
