"""Searching an inverted file: the rows of the few lists nearest to a query, and no others."""
from collections import namedtuple

import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features, keys

# rows: float32 [n, d], mapped; list l is rows[bounds[l]:bounds[l + 1]]; ids: int32 [n], which row of the gallery each
# is; centres: float32 [lists, d], unit vectors; about: dict (inverted_file.py).
InvertedFile = namedtuple("InvertedFile", "rows ids bounds centres about")


def search(index, queries, k):
    """Return (ids, similarities) [q, k] as knn.search does, of the lists nearest to each query.

    Up to the deepest of inverted_probes.DEPTHS nearly all of the k nearest are found, beyond it all. Where the lists
    have fewer than k rows, further ones are looked into.

    Args:
      index: an InvertedFile; queries: float32 [q, d], rows L2-normalised; k: at least 1; beyond n -1 pads.
    """
    if k < 1:
        raise InputError("k is {}; a search needs at least 1 neighbour".format(k))
    features.check_same_width(queries, index.rows)
    probes = next((depth["probes"] for depth in index.about["depths"] if depth["k"] >= k), index.about["lists"])
    return look(index, queries, k, probes)


def look(index, queries, k, probes):
    """Return what `search` does, of so many lists."""
    found = np.full((len(queries), k), keys.MISSING, np.int64)
    for row, query in enumerate(queries):
        parts = nearest_lists(index, query, k, probes)
        memory.prefetch(index.rows, parts)
        scores = np.concatenate([index.rows[part] @ query for part in parts])
        best = keys.encode(np.clip(scores, -1, 1), np.concatenate([index.ids[part] for part in parts]))
        if len(best) > k:
            best.partition(k - 1)
        found[row, :len(best)] = best[:k]
        memory.release(index.rows)
    found.sort(axis=1)
    return keys.decode(found)


def nearest_lists(index, query, k, probes):
    """Return the slices of rows to look into: those of as many lists as told, or as it takes to have k rows."""
    order = np.argsort(-(index.centres @ query), kind="stable")
    held = np.cumsum(np.diff(index.bounds)[order])
    looked = np.sort(order[:max(probes, np.searchsorted(held, min(k, held[-1])) + 1)])
    cuts = np.flatnonzero(np.diff(looked) > 1) + 1  # lists that follow each other are one slice
    first, last = looked[np.append(0, cuts)], looked[np.append(cuts - 1, -1)]
    return [slice(*part) for part in zip(index.bounds[first], index.bounds[last + 1])]
