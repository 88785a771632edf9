"""Nearest neighbours among very many images, most of them, and how many: the recall is measured, not hoped for.

By joined lists (list_join.py), or by an index of faiss (faiss_index.py) where Numba is missing or one is named. How far
either looks is found on a sample whose true neighbours are searched exactly; the recall is measured on another.
"""
import numpy as np

from slim_retrieval.common import jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import compiled, faiss_index, keys, knn, list_join, list_tasks, lists

SAMPLE = 256  # rows that the effort is chosen on, and as many again that the recall is measured on


def neighbors(gallery, k, recall=0.97, seed=0, factory=None, store=None, name=None):
    """Return (ids, similarities, about): nearly each row's k nearest others, as from knn.neighbors.

    Similarities are exact (those of an index of faiss that compresses are computed anew); each row has k others, of
    which in the mean the share `recall` are the nearest. `about` has backend, recall (the share of true neighbours
    found on the second sample) and what was looked at.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      k: neighbours, at most n - 1.
      recall: the least share that is wanted, above 0, at most 1.
      seed: of the samples and of k-means.
      factory: None, or an index in faiss's own words, such as "HNSW32" or "IVF4096,PQ64".
      store: path of a state to go on from (list_join.py), or None.
      name: digest of the gallery, for tasks (common/jobs.py); None: none are made.

    Raises:
      InputError: a recall that is out of range, an index that faiss does not know, or neither Numba nor faiss.
    """
    if not 0 < recall <= 1:
        raise InputError("graph.recall is {}; it must be above 0 and at most 1".format(recall))
    random = np.random.RandomState(seed)
    chosen, measured = np.array_split(random.permutation(len(gallery))[:2 * SAMPLE], 2)
    true = exact(gallery, chosen, k)
    if factory is None and compiled.import_numba() is not None:
        def choose(centres):
            return _probes(gallery, chosen, true[0], centres, recall)

        join, where = (list_tasks.join, name) if name and jobs.parallel() else (list_join.join, store)
        ids, similarities, about = join(gallery, k, choose, seed, where)
        about["backend"] = "lists, {} of {}".format(about["probes"], about["lists"])
    else:
        ids, similarities, about = faiss_index.neighbors(gallery, k, factory, (chosen, true), recall, seed, name)
    if name and jobs.parallel():
        about["backend"] += ", tasks"
    short = np.flatnonzero(ids[:, -1] < 0)  # looked at too few: these rows are searched exactly
    if len(short):
        ids[short], similarities[short] = exact(gallery, short, k)
    _sort(ids, similarities)
    about["recall"] = round(knn.share_found(similarities[measured], exact(gallery, measured, k)[1]), 4)
    return ids, similarities, about


def _probes(gallery, rows, ids, centres, recall):
    """Return how many lists to look at, so that the share `recall` of these pairs meets."""
    pairs = np.repeat(np.arange(len(rows)), ids.shape[1]), np.arange(ids.size)
    return lists.covering(lists.probes_needed(pairs, gallery[rows], gallery[ids.ravel()], centres), recall)


def exact(gallery, rows, k, queries=None):
    """Return (ids, similarities) of the k nearest others of some rows, by a search of the whole gallery.

    Args:
      queries: float32 [rows, d], what is asked in place of the rows, which are left out all the same; or None.
    """
    queries = np.ascontiguousarray(gallery[rows] if queries is None else queries)
    ids, similarities = knn.search(queries, gallery, k + 1)
    return keys.without(rows, similarities, ids, k)


def _sort(ids, similarities):
    """Sort each row in place: best first, equal ones by the smaller id; similarities are clipped to [-1, 1]."""
    for start in range(0, len(ids), 2**16):
        rows = slice(start, start + 2**16)
        found = keys.encode(np.clip(similarities[rows], -1, 1), ids[rows])
        found.sort(axis=1)
        ids[rows], similarities[rows] = keys.decode(found)
