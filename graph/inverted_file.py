"""An inverted file: a gallery's rows list by list, so that a query reads the few lists nearest to it.

    <folder>/rows.npy      float32 [n, d], the rows, those of a list one after another
    <folder>/ids.npy       int32 [n], which row of the gallery each of them is
    <folder>/bounds.npy    int64 [lists + 1]: list l is rows[bounds[l]:bounds[l + 1]]
    <folder>/centres.npy   float32 [lists, d], unit vectors
    <folder>/meta.json     key, how many lists are looked into and what that finds; written last: no meta, no index

k-means on a sample makes the lists. How many are looked into follows from a sample of the gallery whose nearest others
are searched exactly; the share of these that is found is measured on another sample.
"""
import os
import time

import numpy as np
from threadpoolctl import threadpool_limits

from slim_retrieval.common import files, memory
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import inverted_probes, list_join, lists
from slim_retrieval.graph.compiled import workers
from slim_retrieval.graph.inverted_search import InvertedFile

FORMAT = 1
ROWS = 4096  # rows written at a time
ARRAYS = ["rows", "ids", "bounds", "centres"]


def build(gallery, folder, key, recall, seed=0, before=None, asked=None):
    """Write the inverted file of a gallery into `folder`, and return it as `load` does.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      folder: an inverted file that is there is replaced.
      key: str, hash of all that this depends on, which `load` wants to hear again.
      recall: share of a query's nearest rows that is to be found in the mean, 0 to 1.
      seed: of k-means and of the samples.
      before: (InvertedFile, int [n]) of a gallery that was nearly the same, and which of its rows each row was, -1 for
        new ones; or None. Centres and lists are kept, new rows go to the nearest: what takes most of the time is saved.
      asked: the queries that lists are looked into for, see inverted_probes.depths.
    """
    start, random = time.perf_counter(), np.random.RandomState(seed)
    with threadpool_limits(1, user_api="blas"), workers() as pool:  # each thread multiplies by itself
        centres, own = _clusters(gallery, random, pool) if before is None else _grown(gallery, *before, pool=pool)
    count = len(centres)
    ids, bounds = lists.members(own, count)
    path = _path(folder)
    files.remove(path("meta.json"))  # never a new array beside an old meta
    files.write_blocks(path("rows.npy"), gallery.dtype, gallery.shape, _in_order(gallery, ids))
    for name, array in (("ids", ids), ("bounds", bounds), ("centres", centres)):
        files.write_array(path(name + ".npy"), array)
    rows = files.map_array(path("rows.npy"), gallery.dtype.str, gallery.shape)
    depths = inverted_probes.depths(InvertedFile(rows, ids, bounds, centres, None), gallery, own, recall, random, asked)
    about = {"format": FORMAT, "key": key, "seed": seed, "lists": count, "images": len(gallery),
             "dimensions": gallery.shape[1], "depths": depths, "seconds": round(time.perf_counter() - start, 2)}
    files.write_json(path("meta.json"), about)
    return load(folder, key)


def load(folder, key):
    """Return the InvertedFile in `folder`, its rows mapped, not read.

    Raises:
      InputError: none, one of another key or format, or a damaged one.
    """
    path = _path(folder)
    if not os.path.isfile(path("meta.json")):
        raise InputError("no lists in {}".format(folder))
    about = files.read_json(path("meta.json"))
    if not isinstance(about, dict) or (about.get("format"), about.get("key")) != (FORMAT, key):
        raise InputError("the lists in {} are of other features or settings".format(folder))
    try:
        n, d, count = about["images"], about["dimensions"], about["lists"]
        rows, ids, bounds, centres = (
            files.map_array(path(name + ".npy"), dtype, shape) for name, dtype, shape in zip(
                ARRAYS, ["<f4", "<i4", "<i8", "<f4"], [(n, d), (n,), (count + 1,), (count, d)]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError("the lists in {} are damaged ({}: {})".format(
            folder, type(error).__name__, error)) from error
    # Small ones are read; slices of a plain view take less time than those of a memory map.
    return InvertedFile(rows.view(np.ndarray), np.array(ids), np.array(bounds), np.array(centres), about)


def _clusters(gallery, random, pool):
    """Return (centres, the list of each row)."""
    centres = lists.centroids(gallery, list_join.number_of_lists(len(gallery)), random, pool)
    return centres, lists.nearest_one(gallery, centres, pool, "finding the nearest of {} lists".format(len(centres)))


def _grown(gallery, index, came_from, pool):
    """Return (centres, the list of each row): those that rows had, and for new ones the nearest."""
    before = np.empty(len(index.ids), np.int64)
    before[index.ids] = np.repeat(np.arange(len(index.centres)), np.diff(index.bounds))
    own, new = before[came_from], np.flatnonzero(came_from < 0)
    if len(new):
        own[new] = lists.nearest_one(gallery[new], index.centres, pool)
    return index.centres, own


def _in_order(gallery, ids):
    """Yield the gallery's rows in the order of the ids, block by block."""
    for start in range(0, len(ids), ROWS):
        yield gallery[ids[start:start + ROWS]]
        memory.release(gallery)


def _path(folder):
    return lambda name: os.path.join(folder, name)
