"""The gallery's k-nearest-neighbour graph, built once and kept in the run."""
import os
import time

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import approximate, knn

EXACT_PRODUCTS = 1e13  # n * n * d up to which an index "auto" is exact: minutes on two cores
INDEXES = ["auto", "exact", "ivf"]


def load_or_build(gallery, k, folder, features_hash, block=1024, index="auto", recall=0.95):
    """Return the gallery's neighbours from the run's store, built and stored when they are not there.

        <folder>/<key>/ids.npy            int32 [n, k]
        <folder>/<key>/similarities.npy   float32 [n, k]
        <folder>/<key>/meta.json          n, d, k, features_hash, seconds, backend, of an approximate one also asked and
                                          recall, lists and probes; written last: no meta, no graph

    Args:
      gallery: [n, d] float32, rows L2-normalised.
      k: neighbours wanted; at most n - 1 are stored. A stored graph with more is cut.
      folder: the run's graph folder.
      features_hash: digest of the gallery; a graph of other features is not reused.
      index: a name in INDEXES: exact; ivf, an inverted file (approximate.py; needs faiss); auto, exact as long as that
        takes minutes. A stored graph is reused if it is exact, or if as high a recall was asked for.
      recall: of an approximate graph, the least share of true neighbours on a sample.

    Returns:
      ids [n, k'], similarities [n, k'] with k' = min(k, n - 1), and the stored meta with `reused` added.
    """
    k = min(k, len(gallery) - 1)
    path = os.path.join(folder, "knn-" + features_hash)
    approximately = _approximately(index, *gallery.shape)
    stored = _load(path, len(gallery), k, features_hash)
    if stored is not None and ("asked" not in stored[2] or approximately and stored[2]["asked"] >= recall):
        return stored
    start = time.perf_counter()
    ids, similarities, about = _build(gallery, k, block, recall if approximately else None)
    meta = dict(about, n=len(gallery), d=gallery.shape[1], k=k, features_hash=features_hash,
                seconds=time.perf_counter() - start)
    files.remove(os.path.join(path, "meta.json"))  # never a new array beside an old meta
    files.write_array(os.path.join(path, "ids.npy"), ids)
    files.write_array(os.path.join(path, "similarities.npy"), similarities)
    files.write_json(os.path.join(path, "meta.json"), meta)
    return ids, similarities, dict(meta, reused=False)


def _approximately(index, n, d):
    """Return whether the graph is to be approximate."""
    lookup(dict.fromkeys(INDEXES), index, "graph.index")
    if index == "ivf" and knn.import_faiss() is None:
        raise InputError("graph.index ivf needs faiss, which is not installed; install faiss-cpu, or choose exact")
    return index == "ivf" or index == "auto" and n * n * d > EXACT_PRODUCTS and knn.import_faiss() is not None


def _build(gallery, k, block, recall):
    """Return (ids, similarities, about), exact where recall is None."""
    if recall is None:
        how = "half of all pairs" if knn.by_pairs(k, len(gallery)) else knn.backend(k + 1, len(gallery))
        return knn.neighbors(gallery, k, block) + ({"backend": how},)
    ids, similarities, about = approximate.neighbors(knn.import_faiss(), gallery, k, recall)
    how = "faiss ivf, {} of {} lists, recall@{} {:.3f} on a sample".format(about["probes"], about["lists"], k,
                                                                         about["recall"])
    return ids, similarities, dict(about, backend=how, asked=recall)


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
