"""Milliseconds of one query, asked by itself: among the features as they are, and of CFA's saved index.

    python benchmarks/index_speed.py [--sizes 10000 50000] [--dimensions 256] [--methods none level cfa]
        [--folder DIR] [--max_memory GIB] [--output index_speed.csv]

    none    the features as they are
    level   CFA with one level of 10 neighbours: transform (its search among the features included), then search
    cfa     CFA without settings, likewise
    moved   as level, each image moved towards the mean of its class instead of being solved for: an index of that form
            for very large galleries

The features are gallery_generator.py's; the queries are further rows of it. fit: seconds of fitting and saving, graph
included; lists: of making the lists (retrieval.search auto); megabytes: of the index, and of the lists beside it;
open_ms: of opening both; cold_ms: of the first query when nothing of them is in memory, the disk included (Linux);
query_ms: the median of 50 queries; processor_ms: the median of what the process itself was given for each. exact_*:
with retrieval.search exact, on the same index. recall: share of the exact answers' 10 images that are among the 10
found.
"""
import argparse
import os
import tempfile
import time

import csv_rows
import gallery_generator
import numpy as np
from scipy import sparse

from slim_retrieval.common import files, memory
from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.common.errors import command
from slim_retrieval.graph import features, index, index_lists, sources
from slim_retrieval.graph.cfa import CFA

QUERIES, K = 50, 10
METHODS = {"none": ("none", {}), "cfa": ("cfa", {}),
           "level": ("cfa", {"cfa.levels": "[{k: [10]}]", "graph.neighbors": "10"}), "moved": ("cfa", {})}
COLUMNS = ["n", "d", "method", "fit", "lists", "megabytes", "open_ms", "cold_ms", "query_ms", "processor_ms",
           "exact_cold_ms", "exact_ms", "exact_processor_ms", "recall"]


@command
def main(argv=None):
    """Measure each size and print, and with --output write, a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 50000], metavar="N", help="gallery images")
    parser.add_argument("--dimensions", type=int, default=256, metavar="D")
    parser.add_argument("--methods", nargs="+", default=["none", "level", "cfa"], choices=sorted(METHODS))
    parser.add_argument("--folder", metavar="DIR", help="where the index is made, and removed; default: the system's "
                        "for temporary files")
    parser.add_argument("--max_memory", type=float, metavar="GIB", help="as retrieval.max_memory, while fitting")
    parser.add_argument("--output", metavar="FILE.csv")
    flags = parser.parse_args(argv)
    rows = []
    for n in flags.sizes:
        with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
            gallery_generator.write(os.path.join(folder, "features.npy"), n + QUERIES, flags.dimensions)
            for method in flags.methods:
                rows.append(dict(measure(method, n, folder, flags.max_memory), n=n, d=flags.dimensions, method=method))
                print(", ".join("{} {}".format(name, rows[-1][name]) for name in COLUMNS), flush=True)
                files.remove(os.path.join(folder, "index"))
    if flags.output:
        machine = csv_rows.where()
        csv_rows.write(flags.output, COLUMNS + ["machine"], [dict(row, machine=machine) for row in rows])


def measure(method, n, folder, max_memory):
    """Return {column: value} of one method on n gallery images."""
    whole = np.load(os.path.join(folder, "features.npy"), mmap_mode="r")
    asked, answers = np.asarray(whole[n:]), {}
    opened = (opener_of_moved if method == "moved" else opener)(method, whole[:n], folder)
    memory.limit_to(max_memory and max_memory * 2**30, folder)
    result = {"fit": round(opened("exact")[0], 2), "lists": round(opened("auto")[0], 2)}
    memory.limit_to(None, None)
    result["open_ms"] = round(1e3 * min(opened("auto")[0] for _ in range(3)), 2)
    result["megabytes"] = round(megabytes(folder), 1)
    for search, names in (("exact", ["exact_cold_ms", "exact_ms", "exact_processor_ms"]),
                          ("auto", ["cold_ms", "query_ms", "processor_ms"])):
        answering = opened(search)[1]
        forget(folder)
        cold = index.ask(answering, asked[:1], K)[2]
        seconds, processor, answers[search] = ask(answering, asked)
        result.update(zip(names, (round(1e3 * value, 2) for value in (cold, seconds, processor))))
    return dict(result, recall=round(np.mean([len(a & b) / K for a, b in zip(*answers.values())]), 4))


def opener(method, gallery, folder):
    """Return a function from retrieval.search to (seconds, Index), which fits what is not stored yet."""
    name, settings = METHODS[method]
    config = to_plain(resolve(overrides=settings))
    source = sources.Source(gallery, "gallery", "gallery", None, folder)

    def opened(search):
        start = time.perf_counter()
        searching = dict(config, retrieval=dict(config["retrieval"], search=search))
        found = index.fitted(name, searching, "gallery", lambda: (source, None), folder)
        return time.perf_counter() - start, found

    return opened


def opener_of_moved(method, gallery, folder):
    """Return what `opener` does, of a CFA that was not fitted."""
    path, settings = os.path.join(folder, "index", method, "moved.npy"), to_plain(resolve())["retrieval"]

    def opened(search):
        start = time.perf_counter()
        if not os.path.isfile(path):
            labels = np.load(os.path.join(folder, "features-labels.npy"))[:len(gallery)]
            files.write_blocks(path, np.float32, gallery.shape, moved(gallery, labels))
        model = CFA(levels=[{"k": [10]}])
        model.mean_ = model.edge_mean_ = model.signatures_ = None
        model.original_ = model.source_ = gallery
        model.gallery_ = np.load(path, mmap_mode="r")
        model.levels_, model.parts_ = [model.gallery_], [slice(0, gallery.shape[1])]
        model.systems_ = [[{"graphs": [{"k": 10}]}]]
        lists = index_lists.lists_of(model, ["source_", "gallery_"], dict(settings, search=search), "gallery",
                                     os.path.join(os.path.dirname(path), "lists"))
        return time.perf_counter() - start, index.Index(model, lists)

    return opened


def moved(gallery, labels):
    """Yield the rows, each half way to the mean of its class, block by block."""
    members = sparse.csr_matrix((np.ones(len(labels), np.float32), (labels, np.arange(len(labels)))))
    means = features.normalise_rows(members @ gallery)
    for start, stop in features.blocks(*gallery.shape):
        yield features.normalise_rows(gallery[start:stop] + means[labels[start:stop]])


def ask(answering, queries):
    """Return (median seconds, median processor seconds, each one's set of ids) of queries asked by themselves."""
    seconds, processor, found = [], [], []
    for row in range(len(queries)):
        before = time.process_time()
        ids, _, took = index.ask(answering, queries[row:row + 1], K)
        processor.append(time.process_time() - before)
        seconds.append(took)
        found.append(set(ids[0]))
    return np.median(seconds), np.median(processor), found


def megabytes(folder):
    """Return the size of all index files."""
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(os.path.join(folder, "index"))
               for name in names) / 1e6


def forget(folder):
    """Have the system drop what it holds in memory of the files in a folder, where it can be told to."""
    if not hasattr(os, "posix_fadvise"):
        return
    for place, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(place, name), os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


if __name__ == "__main__":
    main()
