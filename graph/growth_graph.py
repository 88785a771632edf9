"""The lists of nearest neighbours after some images came and some went, without a search of all."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import keys, knn

BLOCK = 4096   # images whose lists are offered new ones at a time
OFFERED = 1024  # new ones at a time


def update(neighbors, came_from, source, needed, width):
    """Return (ids, similarities, report): each image's nearest others, as a search of all would find them.

    A list holds the nearest of all others, as many as it has places or fewer: one that lost some is shorter. One with
    fewer than are needed is searched anew, as those of new images are. The others take in the new images that are at
    least as near as their last. Lists that came from an approximate search stay as good as they were.

    Args:
      neighbors: (ids int32 [m, any], similarities) of the images before; -1 pads.
      came_from: int64 [n], where each image was before, -1 for new ones.
      source: float32 [n, d], features that make the edges, rows L2-normalised; may be memory-mapped.
      needed: neighbours that each list must have, or all others.
      width: places of a list, at least `needed`.

    Returns:
      ids, similarities: [n, width], best first, equal ones by the smaller id; pads are -1.
      report: dict of `searched`, lists searched anew, and `taken_in`, how often a list took in a new image.
    """
    new = np.flatnonzero(came_from < 0)
    ids, similarities = _renumbered(neighbors, came_from, width)
    short = (ids >= 0).sum(axis=1) < min(needed, len(source) - 1)
    taken_in = _offer(ids, similarities, source, np.flatnonzero(~short), new)
    rows = np.flatnonzero(short)
    for start in range(0, len(rows), BLOCK):
        part = rows[start:start + BLOCK]
        found, scores = knn.search(source[part], source, width + 1)
        ids[part], similarities[part] = keys.without(part, scores, found, width)
    return ids, similarities, {"searched": len(rows) - len(new), "taken_in": taken_in}


def _renumbered(neighbors, came_from, width):
    """Return the lists [n, width] under the new numbers, without those that went; new images' lists are empty."""
    n, before = len(came_from), len(neighbors[0])
    numbers = np.full(before + 1, -1, np.int64)  # the last place is that of pads
    kept = np.flatnonzero(came_from >= 0)
    numbers[came_from[kept]] = kept
    ids, similarities = memory.empty((n, width), np.int32), memory.empty((n, width))
    ids[:], similarities[:] = -1, -1
    for start in range(0, len(kept), BLOCK):
        rows = kept[start:start + BLOCK]
        now = numbers[neighbors[0][came_from[rows], :width]]
        found = keys.encode(neighbors[1][came_from[rows], :width], now)
        found[now < 0] = keys.MISSING
        found.sort(axis=1)  # pads go to the end, and equal similarities into the order of the new numbers
        ids[rows, :found.shape[1]], similarities[rows, :found.shape[1]] = keys.decode(found)
    return ids, similarities


def _offer(ids, similarities, source, rows, new):
    """Offer the new images to the lists of the rows, in place; return how often one was taken in."""
    count = 0
    for start in progress(range(0, len(rows) if len(new) else 0, BLOCK), what="offering new images", unit="block"):
        part = rows[start:start + BLOCK]
        nodes = np.ascontiguousarray(source[part])
        for first in range(0, len(new), OFFERED):
            offered = new[first:first + OFFERED]
            products = np.clip(nodes @ np.asarray(source[offered]).T, -1, 1)
            last = similarities[part, (ids[part] >= 0).sum(axis=1) - 1]
            near = products >= last[:, None]
            count += _take_in(ids, similarities, part, offered, products, near)
        memory.release(source)
    return count


def _take_in(ids, similarities, rows, offered, products, near):
    """Merge the near ones among the offered into the lists of the rows, in place; return how many there were."""
    most = int(near.sum(axis=1).max(initial=0))
    if most == 0:
        return 0
    hit = near.any(axis=1)
    rows, width = rows[hit], ids.shape[1]
    found = keys.encode(products[hit], offered)
    found[~near[hit]] = keys.MISSING
    if most < found.shape[1]:
        found = np.partition(found, most - 1, axis=1)[:, :most]
    known = keys.encode(similarities[rows], ids[rows])
    known[ids[rows] < 0] = keys.MISSING
    merged = np.concatenate([known, found], axis=1)
    merged.sort(axis=1)
    ids[rows], similarities[rows] = keys.decode(merged[:, :width])
    return int(near.sum())
