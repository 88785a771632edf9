"""Nearest neighbours among very many images, most of them: a self-join of an inverted file (faiss IVF).

k-means on a sample cuts the gallery into lists; a row is compared with the rows of the few lists nearest to it. How
many lists are looked at is found on a sample whose true neighbours are searched exactly, and the recall is then
measured on another sample: it is known for every graph, not hoped for.
"""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import keys

SAMPLE = 200  # rows that the number of lists is chosen on, and as many again that the recall is measured on
TRAIN = 40  # rows of a list that k-means sees
ITERATIONS = 10  # of k-means


def neighbors(faiss, gallery, k, recall=0.95, seed=0, block=4096):
    """Return (ids, similarities, about): nearly each row's k nearest others, as from knn.neighbors.

    Similarities are exact; each row has k others, of which in the mean the share `recall` are the nearest. `about`
    has lists, probes (of them looked at) and recall, the share of true neighbours found on the second sample.

    Args:
      faiss: the module.
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped. The index holds a copy: n x d x 4 bytes.
      k: neighbours, at most n - 1.
      recall: the least share that is wanted, above 0, at most 1.
      seed: of the samples and of k-means.
      block: rows added or searched at a time.

    Raises:
      InputError: a recall that is out of range.
    """
    if not 0 < recall <= 1:
        raise InputError("graph.recall is {}; it must be above 0 and at most 1".format(recall))
    n, random = len(gallery), np.random.RandomState(seed)
    index = _built(faiss, gallery, random, seed, block)
    chosen, measured = np.array_split(random.permutation(n)[:2 * SAMPLE], 2)
    true, other = (_without(rows, *_exact(faiss, gallery, rows, k))[1] for rows in (chosen, measured))
    index.nprobe = 1
    while index.nprobe < index.nlist and _recall(index, gallery, chosen, true) < recall:
        index.nprobe = min(2 * index.nprobe, index.nlist)
    about = {"lists": index.nlist, "probes": index.nprobe,
             "recall": round(_recall(index, gallery, measured, other), 4)}
    ids, similarities = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    for start in progress(range(0, n, block), what="searching {} neighbours".format(k), unit="block"):
        rows = slice(start, min(start + block, n))
        ids[rows], similarities[rows] = _others(index, gallery, np.arange(rows.start, rows.stop), k)
    short = np.flatnonzero(ids[:, -1] < 0)  # lists that hold too few: these rows are searched exactly
    for start in range(0, len(short), block):
        rows = short[start:start + block]
        ids[rows], similarities[rows] = _without(rows, *_exact(faiss, gallery, rows, k))
    return ids, similarities, about


def _built(faiss, gallery, random, seed, block):
    """Return the inverted file that holds the gallery."""
    n, d = gallery.shape
    lists = int(max(1, min(2 ** round(np.log2(2 * np.sqrt(n))), n // TRAIN)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.spherical = seed + 1, ITERATIONS, True
    index.train(np.ascontiguousarray(gallery[np.sort(random.permutation(n)[:TRAIN * lists])]))
    for start in progress(range(0, n, block), what="indexing", unit="block"):
        index.add(np.ascontiguousarray(gallery[start:start + block]))
    return index


def _others(index, gallery, rows, k):
    """Return (ids, similarities) [rows, k] of what the index finds for some rows, themselves left out."""
    return _without(rows, *index.search(np.ascontiguousarray(gallery[rows]), k + 1))


def _without(rows, scores, ids):
    """Return (ids, similarities) of what was found for some rows, k + 1 each, themselves or the last left out."""
    found = keys.encode(np.clip(scores, -1, 1), ids)
    found[(ids < 0) | (ids == rows[:, None])] = keys.MISSING
    return keys.decode(np.sort(found, axis=1)[:, :-1])


def _exact(faiss, gallery, rows, k):
    """Return (scores, ids) [rows, k + 1] of some rows, themselves among them, by a search of the whole gallery."""
    return faiss.knn(np.ascontiguousarray(gallery[rows]), np.ascontiguousarray(gallery), k + 1,
                     metric=faiss.METRIC_INNER_PRODUCT)


def _recall(index, gallery, rows, true):
    """Return the mean share of the true neighbours that is found; among equal similarities each is as good."""
    ids, similarities = _others(index, gallery, rows, true.shape[1])
    return float(np.mean((similarities >= true[:, -1:] - 1e-6) & (ids >= 0)))
