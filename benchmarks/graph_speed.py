"""k-NN graphs side by side: ours, faiss, pynndescent and scikit-learn; seconds, peak memory and recall against n.

    python benchmarks/graph_speed.py --folder /tmp/large [--sizes 10000 100000 1000000] [--dimensions 512]
        [--features F.npz] [--methods ours_lists faiss_ivf] [--most_seconds 600] [--output graph_speed.csv]

    ours_exact     graph/knn.py: half of all pairs; what graph.index auto takes while n * n * d is at most 1e13
    ours_lists     graph/approximate.py: joined lists, for a recall of .95; what auto takes beyond
    faiss_flat     IndexFlatIP
    faiss_ivf      IVF4*sqrt(n),Flat, trained on 64 rows a list; the least nprobe that finds .95 of a sample
    faiss_hnsw32   HNSW32; the least efSearch that finds .95 of a sample
    pynndescent    NNDescent with its defaults, for k + 1 neighbours
    sklearn        NearestNeighbors, brute

20 neighbours of each image. Each in a process of its own, on features in memory, after a run on 2,500 images that is
not counted (what is imported and compiled once). `seconds` passed, `processor` seconds are those of all threads;
peak_mb is the memory beyond what the process held before: libraries, features. recall is the share of the exact
neighbours of 1,000 images that was found. What faiss needs to choose how far it looks is not counted; what ours_lists
needs for it is. Where more than --most_seconds are to be expected from a smaller n, nothing is run and `note` says so.
Features as in large_gallery.py. pip install pynndescent for that one.
"""
import argparse
import contextlib
import os
import subprocess
import sys
import time

import csv_rows
import galleries
import numpy as np

from slim_retrieval.common import files, machine
from slim_retrieval.common.errors import command, lookup
from slim_retrieval.graph import approximate, keys, knn
from slim_retrieval.graph.compiled import threads

K, RECALL = 20, 0.95
WARM = 2500  # images of the run that is not counted
CHOOSE, MEASURE = 256, 1000  # images that an effort is chosen on; that the recall is measured on
COLUMNS = ["set", "n", "d", "method", "seconds", "processor", "peak_mb", "recall", "setting", "note",
           "machine"]


def ours_exact(features, sample, watch):
    with watch:
        return knn.neighbors(features, K)[0]


def ours_lists(features, sample, watch):
    with watch:
        ids, _, about = approximate.neighbors(features, K, RECALL)
    watch.setting = about["backend"]
    return ids


def faiss_flat(features, sample, watch):
    import faiss
    with watch:
        index = faiss.IndexFlatIP(features.shape[1])
        index.add(features)
        return index.search(features, K + 1)[1]


def faiss_ivf(features, sample, watch):
    lists = int(4 * np.sqrt(len(features)))
    few = np.random.RandomState(0).permutation(len(features))[:64 * lists]
    return faiss_effort(features, "IVF{},Flat".format(lists), features[np.sort(few)], "nprobe", 1, sample, watch)


def faiss_hnsw32(features, sample, watch):
    return faiss_effort(features, "HNSW32", None, "efSearch", K + 1, sample, watch)


def faiss_effort(features, factory, train, name, effort, sample, watch):
    """Return the ids found by an index that looks just far enough."""
    import faiss
    with watch:
        index = faiss.index_factory(features.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if train is not None:
            index.train(train)
        index.add(features)
    while True:
        faiss.ParameterSpace().set_index_parameter(index, name, effort)
        found = index.search(features[sample[0]], K + 1)[1]
        if recall(features, found, sample) >= RECALL or effort >= len(features):
            break
        effort += max(1, effort // 4)
    watch.setting = "{}, {} {}".format(factory, name, effort)
    with watch:
        return index.search(features, K + 1)[1]


def pynndescent(features, sample, watch):
    from pynndescent import NNDescent
    with watch:
        return NNDescent(features, "cosine", n_neighbors=K + 1, n_jobs=threads(), random_state=0).neighbor_graph[0]


def sklearn(features, sample, watch):
    from sklearn.neighbors import NearestNeighbors
    with watch:
        model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=threads()).fit(features)
        return model.kneighbors(return_distance=False)


# name: (function, module that it needs, exponent with which its seconds grow with n at most)
METHODS = {
    "ours_exact": (ours_exact, "numpy", 2),
    "ours_lists": (ours_lists, "numba", 1.5),
    "faiss_flat": (faiss_flat, "faiss", 2),
    "faiss_ivf": (faiss_ivf, "faiss", 1.5),
    "faiss_hnsw32": (faiss_hnsw32, "faiss", 1.25),
    "pynndescent": (pynndescent, "pynndescent", 1.25),
    "sklearn": (sklearn, "sklearn", 2),
}


class Watch:
    """Adds up what passes within `with watch:`, in seconds and in processor seconds of all threads."""

    def __init__(self):
        self.seconds, self.processor, self.setting = 0.0, 0.0, ""

    def __enter__(self):
        self._start = time.perf_counter(), time.process_time()

    def __exit__(self, *_):
        self.seconds += time.perf_counter() - self._start[0]
        self.processor += time.process_time() - self._start[1]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    galleries.add_flags(parser)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="METHOD")
    parser.add_argument("--most_seconds", type=float, default=600, help="leave out what would take longer")
    parser.add_argument("--output", default="graph_speed.csv", help="CSV to write")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)  # the processes
    flags = parser.parse_args(argv)
    if flags.measure:
        measure(*flags.measure)
        return
    for name in flags.methods:
        lookup(METHODS, name, "method")
    wanted = [dict(key, method=name) for key in galleries.keys(flags, K + 1) for name in flags.methods]
    csv_rows.fill(flags.output, COLUMNS, wanted, lambda key, rows: run(key, rows, flags))


def run(key, rows, flags):
    """Measure one method in a process of its own; return the other columns of its row."""
    method = key["method"]
    module, growth = METHODS[method][1:]
    if not machine.have(module):
        return {"note": "{0} is not installed: pip install {0}".format(module)}
    expected = predict(key, rows, growth)
    if expected > flags.most_seconds:
        return {"note": "left out: {:,.0f} s expected, more than {:,.0f}".format(expected, flags.most_seconds)}
    gallery = galleries.prepare(flags.folder, key, flags.features)[1]
    result = os.path.join(flags.folder, "graph_speed.json")
    files.remove(result)
    line = [sys.executable, os.path.abspath(__file__), "--folder", flags.folder, "--measure", method, gallery,
            true_neighbors(gallery), result]
    environment = dict(os.environ, NUMBA_NUM_THREADS=str(threads()))  # which does not look at OMP_NUM_THREADS
    try:
        subprocess.run(line, check=True, timeout=3 * flags.most_seconds, env=environment)
    except subprocess.TimeoutExpired:
        return {"note": "stopped after {:,.0f} s".format(3 * flags.most_seconds)}
    except subprocess.CalledProcessError as error:
        return {"note": "ended with status {}".format(error.returncode)}
    return files.read_json(result)


def predict(key, rows, growth):
    """Return the seconds to be expected from the method's largest row of no more images; 0 where there is none."""
    known = [row for row in rows if row["method"] == key["method"] and row["seconds"] and int(row["n"]) <= key["n"]]
    if not known:
        return 0
    row = max(known, key=lambda row: int(row["n"]) * int(row["d"]))
    return float(row["seconds"]) * (key["n"] / int(row["n"])) ** growth * key["d"] / int(row["d"])


def true_neighbors(gallery):
    """Return the path of a sample's exact neighbours, made where it is not there."""
    path = gallery[:-len(".npy")] + "-true.npz"
    if not os.path.exists(path):
        features = np.load(gallery, mmap_mode="r")
        rows = np.random.RandomState(0).permutation(len(features))[:CHOOSE + MEASURE]
        ids, similarities = knn.search(np.ascontiguousarray(features[rows]), features, K + 1)
        with files.replacing(path) as temporary:
            np.savez(temporary, rows=rows, similarities=keys.without(rows, similarities, ids, K)[1])
    return path


def measure(method, gallery, truth, result):
    """Run a method here and write what it took as JSON."""
    features = np.load(gallery)
    with np.load(truth) as stored:
        rows, similarities = stored["rows"], stored["similarities"]
    few = features[:WARM]
    METHODS[method][0](few, (np.arange(CHOOSE)[:len(few)], exact(few)[:CHOOSE]), Watch())
    forget_peak()
    before, watch = machine.peak_memory_mb(), Watch()
    ids = METHODS[method][0](features, (rows[:CHOOSE], similarities[:CHOOSE]), watch)
    peak, few = machine.peak_memory_mb() - before, slice(CHOOSE if len(rows) > CHOOSE else 0, None)
    found = recall(features, ids[rows[few]], (rows[few], similarities[few]))
    files.write_json(result, {"seconds": round(watch.seconds, 3), "processor": round(watch.processor, 3),
                              "peak_mb": peak, "recall": round(found, 4), "setting": watch.setting})


def forget_peak():
    """Let the peak memory be what is held now; where that cannot be, peak_mb is too small by what warming up took."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")


def exact(features):
    """Return the similarities of each row's nearest others, best first."""
    return knn.search(features, features, K + 1)[1][:, 1:]


def recall(features, ids, sample):
    """Return the share of a sample's true neighbours that was found.

    Args:
      ids: int [m, K or more] of the sample's rows, themselves perhaps among them.
      sample: (rows int [m], similarities of their true neighbours float32 [m, K]).
    """
    rows, true = sample
    scores = np.einsum("md,mkd->mk", features[rows], features[ids])
    return knn.share_found(keys.without(rows, scores, ids.astype(np.int64), K)[1], true)


if __name__ == "__main__":
    main()
