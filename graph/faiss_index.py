"""Nearest neighbours by an index of faiss: its own inverted file, HNSW, product quantisation, whatever it can name.

Where faiss sees graphics cards each gets a copy and a share of the queries; what cards cannot do stays on the CPU. The
search can be cut into tasks (common/jobs.py), which read the index from a file; these compute on CPUs.
"""
import os
import re

import numpy as np

from slim_retrieval.common import files, jobs, memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.notices import say_once
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import cards, keys, knn

TRAIN = 40  # rows of a list that k-means sees
BLOCK = 4096  # rows added or searched at a time
ROWS = 2**16  # of a task
INDEX = "index.faiss"
EFFORTS = ["nprobe", "efSearch"]  # how far an inverted file, and HNSW, look
COMPRESSED = ["PQ", "SQ", "RQ", "LSQ", "LSH"]  # words of indexes that do not keep the vectors
FARTHER = 4  # candidates there for each neighbour: they are compared again, exactly


def neighbors(gallery, k, factory, sample, recall, seed=0, name=None):
    """Return (ids, similarities, about): what an index finds of each row's k nearest others; pads where too few.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped. The index holds what it needs in memory.
      k: neighbours, at most n - 1.
      factory: faiss's words, such as "HNSW32"; None: an inverted file.
      sample: (rows, (ids, similarities)) of some rows' true neighbours: the effort is doubled until `recall` of them
        are found.
      name: digest of the gallery, for tasks; None: none are made.

    Raises:
      InputError: faiss is missing, or does not know the index.
    """
    faiss = cards.import_faiss()
    if faiss is None:
        raise InputError("an approximate graph needs numba or faiss, and neither is installed; pip install numba, or "
                         "choose graph.index exact")
    n, d = gallery.shape
    factory = factory or "IVF{},Flat".format(int(max(1, min(2 ** round(np.log2(2 * np.sqrt(n))), n // TRAIN))))
    folder = jobs.folder("faiss", name, n, k, factory, seed) if name and jobs.parallel() else None
    compressed = any(word in factory for word in COMPRESSED)
    index, most = _stored(faiss, folder), n
    if index is None:
        width = None if folder else _width(k, n, compressed)
        index, most = _built(faiss, gallery, factory, width, np.random.RandomState(seed))
    rows, (_, true) = sample
    effort, value = _effort(faiss, index), 1
    while effort is not None:
        _set(faiss, index, effort, value)
        found = _search(index, gallery, rows, k, compressed)[1]
        if knn.share_found(found, true) >= recall or 2 * value > most:
            break
        value *= 2
    if folder:
        ids, similarities = _by_tasks(faiss, index, gallery, k, (effort, value), compressed, folder)
    else:
        ids, similarities = _range(index, gallery, (0, n), k, compressed)
    about = {"backend": "faiss {}{}".format(factory, "" if effort is None else ", {} {}".format(effort, value))}
    return ids, similarities, dict(about, **({} if effort is None else {effort: value}))


def _by_tasks(faiss, index, gallery, k, effort, compressed, folder):
    """Return (ids, similarities) of all rows; the index lies in `folder` meanwhile, where a killed run finds it."""
    n, rows = len(gallery), jobs.shared(gallery, os.path.join(folder, "gallery.npy"))
    with files.replacing(os.path.join(folder, INDEX)) as path:
        faiss.write_index(index, path)
    tasks = [(folder, rows, (start, min(start + ROWS, n)), k, effort, compressed,
              os.path.join(folder, "neighbors-{}-{}.npz".format(effort[1], start))) for start in range(0, n, ROWS)]
    jobs.run(block, tasks, "searching {} neighbours".format(k))
    ids, similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
    for _, _, (start, stop), _, _, _, output in tasks:
        with np.load(output) as stored:
            ids[start:stop], similarities[start:stop] = stored["ids"], stored["similarities"]
    jobs.forget(folder)
    return ids, similarities


def block(folder, gallery, rows, k, effort, compressed, output):
    """Task: write the neighbours of a range of rows of a gallery (.npy) to `output` (.npz)."""
    faiss = cards.import_faiss()
    index = _stored(faiss, folder)
    if effort[0] is not None:
        _set(faiss, index, *effort)
    ids, similarities = _range(index, np.load(gallery, mmap_mode="r"), rows, k, compressed)
    with files.replacing(output) as path:
        np.savez(path, ids=ids, similarities=similarities)


def _range(index, gallery, rows, k, compressed):
    """Return (ids, similarities) of the rows from rows[0] to before rows[1]."""
    first, last = rows
    ids, similarities = memory.empty((last - first, k), np.int32), memory.empty((last - first, k))
    for start in progress(range(first, last, BLOCK), what="searching {} neighbours".format(k), unit="block"):
        some = np.arange(start, min(start + BLOCK, last))
        ids[some - first], similarities[some - first] = _search(index, gallery, some, k, compressed)
    return ids, similarities


def _stored(faiss, folder):
    """Return the index that lies in the folder, or None."""
    path = folder and os.path.join(folder, INDEX)
    return faiss.read_index(path) if path and os.path.exists(path) else None


def _built(faiss, gallery, factory, width, random):
    """Return (index, effort): trained on a sample, with the gallery in it, and how far it can look at most.

    Args:
      width: of a search's answer; None: graphics cards are not used.
    """
    n, d = gallery.shape
    try:
        index = faiss.index_factory(d, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise InputError("faiss does not know the index {!r} (graph.index) for {} dimensions: {}".format(
            factory, d, _line(error))) from None
    index, on_cards = (index, False) if width is None else _on_cards(faiss, index, factory, width)
    if not index.is_trained:
        most = TRAIN * int(max(256, 4 * np.sqrt(n)))
        index.train(np.ascontiguousarray(gallery[np.sort(random.permutation(n)[:most])]))
    for start in progress(range(0, n, BLOCK), what="indexing", unit="block"):
        try:
            index.add(np.ascontiguousarray(gallery[start:start + BLOCK]))
        except (RuntimeError, MemoryError) as error:
            if not on_cards:
                raise
            raise InputError("the index {} of {} x {} does not go onto the graphics card ({}); take one that "
                             "compresses, graph.index lists, or hide the cards: CUDA_VISIBLE_DEVICES=-1".format(
                                 factory, n, d, _line(error))) from None
    return index, cards.MOST if on_cards else n


def _on_cards(faiss, index, factory, width):
    """Return (copies on all graphics cards, True), or (index, False) where there are none or they cannot have it."""
    if cards.count() == 0:
        return index, False
    reason = "an answer has {} neighbours and a card finds {} at most".format(width, cards.MOST)
    if width <= cards.MOST:
        try:
            return faiss.index_cpu_to_all_gpus(index), True
        except RuntimeError as error:
            reason = _line(error)
    say_once("graph.index {} stays on the CPU: {}".format(factory, reason))
    return index, False


def _line(error):
    """Return what faiss says, without where in its source."""
    return re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", str(error).strip().split("\n")[-1])


def _effort(faiss, index):
    """Return the name of what decides how far the index looks, or None."""
    for name in EFFORTS:
        try:
            _set(faiss, index, name, 1)
            return name
        except RuntimeError:
            continue
    return None


def _set(faiss, index, name, value):
    # The plain ParameterSpace does not know indexes on cards; that for cards knows both.
    getattr(faiss, "GpuParameterSpace", faiss.ParameterSpace)().set_index_parameter(index, name, value)


def _width(k, n, compressed):
    """Return how many rows a search gives for k neighbours."""
    return min((k + 1) * (FARTHER if compressed else 1), n)


def _search(index, gallery, rows, k, compressed):
    """Return (ids, similarities) [rows, k], the rows themselves left out; of compressed vectors compared anew."""
    queries = np.ascontiguousarray(gallery[rows])
    scores, ids = index.search(queries, _width(k, len(gallery), compressed))
    if compressed:
        scores = _exactly(queries, gallery, ids)
    return keys.without(rows, scores, ids, k)


def _exactly(queries, gallery, ids):
    """Return the similarities of each query and its candidates, float32 [q, candidates]."""
    scores = np.empty(ids.shape, np.float32)
    for number, query in enumerate(queries):
        scores[number] = gallery[np.maximum(ids[number], 0)] @ query
    return scores
