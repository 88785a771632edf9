"""Seconds, peak memory and mAP side by side: k-reciprocal re-ranking and diffusion, ours and in their public forms.

    python benchmarks/rerank_speed.py [--features F.npz] [--output rerank_speed.csv] [--only k_reciprocal]
    python benchmarks/rerank_speed.py --only k_reciprocal --sizes 5000 10000 20000 50000 100000

    k_reciprocal                 graph/k_reciprocal.py, 1,000 queries and the other images as gallery, one joint graph
    dense_k_reciprocal           the textbook form on n x n arrays (dense_k_reciprocal.py), distances by one product
    dense_k_reciprocal_cdist     the same with the distances of the authors' code, pair by pair in float64
    cfa                          graph/cfa.py, one level (k 30, alpha 0.95), all images as queries, self excluded
    cfa_automatic                the same without settings
    truncated_diffusion          one system per image (truncated_diffusion.py), all images as queries, self excluded
    truncated_diffusion_public   the same as the authors' public code spends its time; not ranked again

Each runs in a process of its own, from features to rankings (to 1,000 deep), after a run on a few images so that what
is loaded or compiled once is not counted; --repeats times, of which each stage's best counts, because other work on a
machine only ever adds time. peak_mb is the peak memory beyond what the process held before it began: interpreter,
libraries, features. The CSV has a row per method and one per stage of it (method:stage): graph (k-NN or distances),
rerank or diffusion, ranking. "diffusion" is all that comes between the k-NN graph and the search. Features: .npz with
features [n, d] and labels [n], or .npy without labels; without --features a seeded random set of 8,677 x 1,280 in 101
classes, or sets of --sizes. Where a dense form would take more than --most_gib it is left out, and `note` says so.
About five minutes a repeat on 2 cores.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import csv_rows
import dense_k_reciprocal
import galleries
import numpy as np
import truncated_diffusion

from slim_retrieval.common import files, machine
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.evaluation import average_precision
from slim_retrieval.graph import knn, order
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.graph.k_reciprocal import KReciprocal

DEPTH = 1000
WARM = 500  # images of the run that is not counted
COLUMNS = ["method", "n", "d", "seconds", "peak_mb", "mAP", "note", "machine"]
DENSE = 20  # bytes a dense form takes for each pair of images


def k_reciprocal(features, num_queries, watch):
    queries, gallery = features[:num_queries], features[num_queries:]
    method = KReciprocal()
    with watch("graph"):
        method.fit(gallery)
    with watch("rerank"):
        return method.rank(queries, min(DEPTH, len(gallery)))


def dense(distances):
    def run(features, num_queries, watch):
        with watch("graph"):
            original = distances(features)
            ranks = np.argsort(original, axis=1).astype(np.int32)
        with watch("rerank"):
            result = dense_k_reciprocal.distances(original, ranks, num_queries)[:, num_queries:]
            return np.argsort(result, axis=1)[:, :DEPTH].astype(np.int32)
    return run


def cfa(levels):
    def run(features, num_queries, watch):
        method = CFA(levels=levels)
        with watch("graph"):
            near = knn.neighbors(features, method.needed_neighbors(len(features)))
        with watch("diffusion"):
            diffused = method.fit(features, near).gallery_
        with watch("ranking"):
            return knn.neighbors(diffused, min(DEPTH, len(features) - 1))[0]
    return run


def truncated(features, num_queries, watch):
    n = len(features)
    with watch("graph"):
        ids, similarities = knn.search(features, features, min(1000, n))
    with watch("diffusion"):
        scores = truncated_diffusion.scores(ids, similarities)
    with watch("ranking"):
        transposed = scores.T.tocsr()
        return order.rank(lambda rows: (scores[rows] @ transposed).toarray(), n, n, min(DEPTH, n - 1), np.arange(n))


def truncated_public(features, num_queries, watch):
    with watch("graph"):
        ids, similarities = knn.search(features, features, min(1000, len(features)))
    with watch("diffusion"):
        truncated_diffusion.scores_as_published(ids, similarities)


# name: (what runs, whether queries are apart from the gallery, what it is compared with)
VARIANTS = {
    "k_reciprocal": (k_reciprocal, True, "k_reciprocal"),
    "dense_k_reciprocal": (dense(dense_k_reciprocal.by_products), True, "k_reciprocal"),
    "dense_k_reciprocal_cdist": (dense(dense_k_reciprocal.by_cdist), True, "k_reciprocal"),
    "cfa": (cfa([{"k": [30], "alpha": 0.95}]), False, "cfa"),
    "cfa_automatic": (cfa(None), False, "cfa"),
    "truncated_diffusion": (truncated, False, "cfa"),
    "truncated_diffusion_public": (truncated_public, False, "cfa"),
}


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", help=".npz with features and labels, or .npy")
    parser.add_argument("--output", default="rerank_speed.csv", help="CSV to write")
    parser.add_argument("--only", choices=sorted({pair for _, _, pair in VARIANTS.values()}), help="one comparison")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8677], metavar="N", help="images of the random sets")
    parser.add_argument("--most_gib", type=float, default=8, help="memory that a dense form may take")
    parser.add_argument("--queries", type=int, default=1000, help="queries of the k-reciprocal variants")
    parser.add_argument("--seed", type=int, default=0, help="of the random set and of the choice of queries")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the best counts")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)  # the processes
    flags = parser.parse_args(argv)
    if flags.measure:
        measure(*flags.measure, num_queries=flags.queries)
        return
    rows = []
    for size in flags.sizes if flags.features is None else [None]:
        results, left_out = compare(size, flags)
        rows += table(results) + left_out
        csv_rows.write(flags.output, COLUMNS, rows)
        print("written: " + flags.output)
        print_ratios(results)


def compare(size, flags):
    """Run the variants on one set; return ({name: result}, rows of those that were left out)."""
    results, left_out = {}, []
    with tempfile.TemporaryDirectory() as folder:
        n, d = prepare(folder, flags.features, size, flags.seed)
        if not 0 < flags.queries < n:
            raise InputError("--queries: {} of {} images; choose from 1 to {}".format(flags.queries, n, n - 1))
        for name, (_, _, pair) in VARIANTS.items():
            if flags.only not in (None, pair):
                continue
            if name.startswith("dense") and DENSE * n * n > flags.most_gib * 2**30:
                note = "left out: {:.0f} GiB, more than {:g}".format(DENSE * n * n / 2**30, flags.most_gib)
                left_out.append({"method": name, "n": n, "d": d, "note": note, "machine": csv_rows.where()})
                print("{:<27}{}".format(name, note), flush=True)
                continue
            results[name] = run(name, folder, flags.queries, max(1, flags.repeats))
            print(describe(name, results[name]), flush=True)
    return results, left_out


def prepare(folder, path, size, seed):
    """Write features.npy and labels.npy, in a random order, into the folder; return the features' shape."""
    features, labels = random_set(size, seed=seed) if path is None else galleries.load(path)
    places = np.random.RandomState(seed).permutation(len(features))
    rows = np.asarray(features, np.float32)[places]
    np.save(os.path.join(folder, "features.npy"), rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.save(os.path.join(folder, "labels.npy"), labels[places])
    return features.shape


def random_set(n, d=1280, classes=101, seed=0):
    """Return (features, labels): classes are clouds in 24 dimensions, mapped to d non-negative ones."""
    random = np.random.RandomState(seed)
    labels = random.randint(classes, size=n)
    hidden = random.randn(classes, 24)[labels] + 0.9 * random.randn(n, 24)
    return np.maximum(hidden @ random.randn(24, d) + random.randn(n, d), 0).astype(np.float32), labels


def run(name, folder, num_queries, repeats):
    """Measure a variant in processes of its own, one after the other; return the best of each stage."""
    found = []
    for _ in range(repeats):
        subprocess.run([sys.executable, os.path.abspath(__file__), "--measure", name, folder, "--queries",
                        str(num_queries)], check=True)
        found.append(files.read_json(os.path.join(folder, name + ".json")))
    stages = {stage: min(one["stages"][stage] for one in found) for stage in found[0]["stages"]}
    return dict(found[0], stages=stages, seconds=sum(stages.values()), peak_mb=max(one["peak_mb"] for one in found))


def measure(name, folder, num_queries):
    """Run a variant here and write <folder>/<name>.json."""
    function, apart, _ = VARIANTS[name]
    features, labels = (np.load(os.path.join(folder, part + ".npy")) for part in ("features", "labels"))
    function(features[:WARM], min(num_queries, len(features[:WARM]) // 2), machine.Stopwatch())
    before, watch = machine.peak_memory_mb(), machine.Stopwatch()
    ranks = function(features, num_queries, watch)
    peak = machine.peak_memory_mb() - before
    asked, found = (labels[:num_queries], labels[num_queries:]) if apart else (labels, labels)
    found = None if ranks is None else mean_average_precision(ranks, asked, found, 0 if apart else 1)
    files.write_json(os.path.join(folder, name + ".json"), {
        "n": len(features), "d": features.shape[1], "seconds": watch.total, "stages": watch.seconds, "peak_mb": peak,
        "mAP": found})


def mean_average_precision(ranks, asked, found, own):
    """Return the mean step AP of the queries that have a positive; `own` positives are the query itself."""
    counts = dict(zip(*np.unique(found, return_counts=True)))
    positives = np.array([counts.get(label, 0) - own for label in asked])
    values = [average_precision.step((found[ranks[start:start + 256]] == asked[start:start + 256, None]),
                                     positives[start:start + 256]) for start in range(0, len(ranks), 256)]
    return float(np.nanmean(np.concatenate(values))) if positives.any() else float("nan")


def describe(name, result):
    stages = ", ".join("{} {:.2f}".format(*item) for item in result["stages"].items())
    return "{:<27}{:>8.2f} s ({})  {:>6} MB{}".format(
        name, result["seconds"], stages, result["peak_mb"],
        "" if result["mAP"] is None else "  mAP {:.4f}".format(result["mAP"]))


def table(results):
    """Return the CSV's rows: one per method and one per stage."""
    rows = []
    for name, result in results.items():
        shared = {"n": result["n"], "d": result["d"], "machine": csv_rows.where()}
        rows.append(dict(shared, method=name, seconds="{:.3f}".format(result["seconds"]), peak_mb=result["peak_mb"],
                         mAP="" if result["mAP"] is None else "{:.5f}".format(result["mAP"])))
        rows += [dict(shared, method=name + ":" + stage, seconds="{:.3f}".format(seconds))
                 for stage, seconds in result["stages"].items()]
    return rows


def print_ratios(results):
    """Print how many times faster and smaller ours is: in all, without the graph, in each stage that both have."""
    for name, result in results.items():
        ours = results[VARIANTS[name][2]]
        if ours is result:
            continue
        seconds = {"in all": (result["seconds"], ours["seconds"]),
                   "after the graph": tuple(r["seconds"] - r["stages"]["graph"] for r in (result, ours))}
        seconds.update((stage, (spent, ours["stages"][stage])) for stage, spent in result["stages"].items())
        if len(result["stages"]) < len(ours["stages"]):  # not ranked: only its stages can be compared
            del seconds["in all"], seconds["after the graph"]
        print("{} / {}: memory x {:.1f}, seconds {}".format(
            name, VARIANTS[name][2], result["peak_mb"] / max(ours["peak_mb"], 1),
            ", ".join("{} x {:.1f}".format(what, theirs / max(own, 1e-9)) for what, (theirs, own) in seconds.items())))


if __name__ == "__main__":
    main()
