"""Large galleries end to end, as a user runs them: seconds, peak memory, recall of the graph, mAP.

    python benchmarks/large_gallery.py --folder /tmp/large [--sizes 10000 100000 1000000] [--dimensions 512]
        [--methods cfa] [--flags "--retrieval.max_memory 8"] [--indexes lists] [--output large_gallery.csv]

Features come from gallery_generator.py; 1,000 images more than the size ask, the others are the gallery. Each method is
one run of retrieve.py in a process of its own, with rankings to 1,000; `graph` are the seconds of the k-NN graph as
stored, `method` all others, `recall` what the graph's build measured on 256 images. `none` is plain search. Indexes are
values of graph.index: `--indexes exact lists HNSW32` compares them. One row of the CSV is written after the other; rows
that are there already are not measured again.
"""
import argparse
import csv
import glob
import os
import shlex
import shutil
import subprocess
import sys
import time

import gallery_generator
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import command
from slim_retrieval.evaluation import metrics, relevance

QUERIES, DEPTH = 1000, 1000
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "retrieve.py")
COLUMNS = ["n", "d", "method", "index", "flags", "graph", "method_seconds", "wall", "peak_mb", "recall", "mAP"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, help="for features and rankings; features are kept")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 100000, 1000000], help="gallery images")
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--methods", nargs="+", default=["none", "cfa"])
    parser.add_argument("--indexes", nargs="+", default=["auto"])
    parser.add_argument("--flags", default="", help="further flags for retrieve.py")
    parser.add_argument("--output", default="large_gallery.csv", help="CSV to write")
    flags = parser.parse_args(argv)
    rows = read(flags.output)
    for n in flags.sizes:
        for method in flags.methods:
            for index in flags.indexes if method != "none" else ["-"]:
                key = [str(n), str(flags.dimensions), method, index, flags.flags]
                if any([row[c] for c in COLUMNS[:5]] == key for row in rows):
                    continue
                rows.append(dict(zip(COLUMNS, key), **measure(n, flags.dimensions, method, index, flags)))
                write(flags.output, rows)
                print(", ".join("{} {}".format(c, rows[-1][c]) for c in COLUMNS), flush=True)
    print("written: " + flags.output)


def measure(n, d, method, index, flags):
    """Run retrieve.py; return what it took and how well it ranked."""
    query, gallery, labels = features(flags.folder, n, d)
    output = os.path.join(flags.folder, "output")
    shutil.rmtree(output, ignore_errors=True)
    line = [sys.executable, SCRIPT, "--query", query, "--gallery", gallery, "--method", method, "--output", output,
            "--k", str(min(DEPTH, n))] + shlex.split(flags.flags) + ([] if index == "-" else ["--graph.index", index])
    start = time.perf_counter()
    subprocess.run(line, check=True)
    wall = time.perf_counter() - start
    record = files.read_json(os.path.join(output, method + ".json"))
    graph = record["stage_seconds"].get("graph", 0.0)
    found = glob.glob(os.path.join(output, "graph", "*", "meta.json"))
    recall = files.read_json(found[0]).get("recall", 1.0) if found else 1.0
    ranks = np.load(os.path.join(output, method + ".npy"), mmap_mode="r")
    judged = relevance.from_labels(labels[:QUERIES].astype(int), labels[QUERIES:].astype(int))
    values = {"graph": graph, "method_seconds": record["seconds"] - graph, "wall": wall}
    return dict({name: "{:.2f}".format(value) for name, value in values.items()},
                peak_mb=record["peak_memory_mb"], recall=recall,
                mAP="{:.4f}".format(metrics.evaluate(ranks, judged)["mAP"]))


def features(folder, n, d):
    """Return the paths of the queries' and the gallery's features, made when they are not there, and all labels."""
    query, gallery = (os.path.join(folder, "{}-{}x{}.npy".format(name, n, d)) for name in ("query", "gallery"))
    stored = os.path.join(folder, "labels-{}x{}.npy".format(n, d))
    if not os.path.exists(stored):
        everything = os.path.join(folder, "everything.npy")
        labels = gallery_generator.write(everything, n + QUERIES, d)
        array = np.load(everything, mmap_mode="r")
        files.write_array(query, array[:QUERIES])
        files.write_array(gallery, array[QUERIES:])
        for path in (everything, everything[:-len(".npy")] + "-labels.npy"):
            files.remove(path)
        files.write_array(stored, labels)
    return query, gallery, np.load(stored)


def read(path):
    """Return the rows of an earlier run."""
    if not os.path.exists(path):
        return []
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def write(path, rows):
    with files.replacing(path) as temporary, open(temporary, "w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
