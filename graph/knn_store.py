"""The gallery's k-nearest-neighbour graph, built once and kept in the run."""
import os
import time

import numpy as np

from slim_retrieval.common import files, jobs
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import approximate, cards, compiled, knn, knn_tasks

EXACT_PRODUCTS = 1e13  # n * n * d up to which an index "auto" is exact: minutes on two cores
EXACT_ON_CARD = 1e15  # the same on a graphics card: 5e14 took 39 seconds on an H200
INDEXES = {"auto": "exact as long as that takes minutes, then lists",
           "exact": "all pairs",
           "lists": "near lists joined with each other (list_join.py), or without Numba an inverted file of faiss"}


def load_or_build(gallery, k, folder, features_hash, block=1024, index="auto", recall=0.97):
    """Return the gallery's neighbours from the run's store, built and stored when they are not there.

        <folder>/<key>/ids.npy            int32 [n, k]
        <folder>/<key>/similarities.npy   float32 [n, k]
        <folder>/<key>/meta.json          n, d, k, features_hash, seconds, backend, of an approximate one also asked and
                                          recall, and how far it looked; written last: no meta, no graph
        <folder>/<key>/state-*.npz        of an approximate graph that is being built: a killed run goes on from it

    Args:
      gallery: [n, d] float32, rows L2-normalised.
      k: neighbours wanted; at most n - 1 are stored. A stored graph with more is cut.
      folder: the run's graph folder.
      features_hash: digest of the gallery; a graph of other features is not reused.
      index: a name in INDEXES, or an index in faiss's own words, with a digit or a comma, such as "HNSW32". A stored
        graph is reused if it is exact, or if as high a recall was asked for.
      recall: of an approximate graph, the least share of true neighbours on a sample.

    Returns:
      ids [n, k'], similarities [n, k'] with k' = min(k, n - 1), and the stored meta with `reused` added.
    """
    k = min(k, len(gallery) - 1)
    path = os.path.join(folder, "knn-" + features_hash)
    approximately = _approximately(index, *gallery.shape, k=k)
    stored = _load(path, len(gallery), k, features_hash)
    if stored is not None and ("asked" not in stored[2] or approximately and stored[2]["asked"] >= recall):
        return stored
    start = time.perf_counter()
    state = os.path.join(path, "state-{}-{:g}.npz".format(k, recall))
    ids, similarities, about = _build(gallery, k, block, index, recall if approximately else None, state,
                                      features_hash)
    meta = dict(about, n=len(gallery), d=gallery.shape[1], k=k, features_hash=features_hash,
                seconds=time.perf_counter() - start)
    files.remove(os.path.join(path, "meta.json"))  # never a new array beside an old meta
    files.write_array(os.path.join(path, "ids.npy"), ids)
    files.write_array(os.path.join(path, "similarities.npy"), similarities)
    files.write_json(os.path.join(path, "meta.json"), meta)
    files.remove(state)
    ids, similarities, meta = _load(path, len(gallery), k, features_hash)  # mapped: what was built can go
    return ids, similarities, dict(meta, reused=False)


def _approximately(index, n, d, k):
    """Return whether the graph is to be approximate."""
    if _factory(index) is None:
        lookup(INDEXES, index, "graph.index")
    possible = compiled.import_numba() is not None or cards.import_faiss() is not None
    if index != "auto":
        return index != "exact"
    on_card = EXACT_PRODUCTS < n * n * d <= EXACT_ON_CARD and k < cards.MOST and cards.count() > 0
    return n * n * d > EXACT_PRODUCTS and possible and not on_card


def _factory(index):
    """Return what is in faiss's words, or None."""
    return index if any(c.isdigit() or c == "," for c in index) else None


def _build(gallery, k, block, index, recall, store, name):
    """Return (ids, similarities, about), exact where recall is None; name: digest of the gallery."""
    if recall is None:
        if jobs.parallel():
            return knn_tasks.neighbors(gallery, k, name) + ({"backend": "all pairs, tasks"},)
        how = "half of all pairs" if knn.by_pairs(k, len(gallery)) else "all pairs"
        if cards.worthwhile(gallery, gallery, k + 1):
            how = "all pairs on a graphics card"
        return knn.neighbors(gallery, k, block) + ({"backend": how},)
    ids, similarities, about = approximate.neighbors(gallery, k, recall, factory=_factory(index), store=store,
                                                     name=name)
    about["backend"] = "{}; recall@{} {:.3f} on a sample".format(about["backend"], k, about["recall"])
    return ids, similarities, dict(about, asked=recall)


def _load(path, n, k, features_hash):
    """Return (ids, similarities, meta) of a stored graph that serves, else None."""
    try:
        meta = files.read_json(os.path.join(path, "meta.json"))
        if meta["features_hash"] != features_hash or meta["n"] != n or meta["k"] < k:
            return None
        ids, similarities = (np.load(os.path.join(path, name + ".npy"), mmap_mode="r", allow_pickle=False)
                             for name in ("ids", "similarities"))
    except (InputError, OSError, ValueError, KeyError, TypeError):  # absent or damaged: build it again
        return None
    if ids.shape != (n, meta["k"]) or similarities.shape != ids.shape:
        return None
    return ids[:, :k], similarities[:, :k], dict(meta, reused=True)
