"""Large galleries end to end, as a user runs them: seconds, peak memory, recall of the graph, mAP.

    python benchmarks/large_gallery.py --folder /tmp/large [--sizes 10000 100000 1000000] [--dimensions 512]
        [--methods cfa] [--flags "--retrieval.max_memory 8"] [--indexes lists] [--output large_gallery.csv]

Features come from gallery_generator.py, or from a file: --features set.npz (feature_sets.py) or any .npy. 1,000 images
more than the size ask (of a small file a quarter), the others are the gallery. Each method is one run of retrieve.py in
a process of its own, with rankings to 1,000; `graph` are the seconds of the k-NN graph as stored, `method_seconds` all
others; `wall` and `processor` (seconds of all threads) are the whole command's; `recall` is what the graph's build
measured on 256 images. `none` is plain search. Indexes are values of graph.index: `--indexes exact lists HNSW32`
compares them. One row of the CSV is written after the other; rows that are there already are not measured again.
"""
import argparse
import glob
import os
import resource
import shlex
import subprocess
import sys
import time

import csv_rows
import galleries
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import command
from slim_retrieval.evaluation import metrics, relevance

DEPTH = 1000
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "retrieve.py")
COLUMNS = ["set", "n", "d", "method", "index", "flags", "graph", "method_seconds", "wall", "processor", "peak_mb",
           "recall", "mAP", "machine"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    galleries.add_flags(parser)
    parser.add_argument("--methods", nargs="+", default=["none", "cfa"])
    parser.add_argument("--indexes", nargs="+", default=["auto"])
    parser.add_argument("--flags", default="", help="further flags for retrieve.py")
    parser.add_argument("--output", default="large_gallery.csv", help="CSV to write")
    flags = parser.parse_args(argv)
    wanted = [dict(key, method=method, index=index, flags=flags.flags)
              for key in galleries.keys(flags) for method in flags.methods
              for index in (flags.indexes if method != "none" else ["-"])]
    csv_rows.fill(flags.output, COLUMNS, wanted, lambda key, _: measure(key, flags.folder, flags.features))


def measure(key, folder, features=None, kept=None):
    """Run retrieve.py; return what it took and how well it ranked.

    Args:
      key: set, n, d (galleries.py), method, index, flags.
      kept: folder for rankings that may have the gallery's graph already; None: one that is emptied first.
    """
    query, gallery, labels = galleries.prepare(folder, key, features)
    method, output = key["method"], kept or os.path.join(folder, "output")
    if kept is None:
        files.remove(output)
    line = [sys.executable, SCRIPT, "--query", query, "--gallery", gallery, "--method", method, "--output", output,
            "--k", str(min(DEPTH, key["n"]))] + shlex.split(key["flags"])
    start, before = time.perf_counter(), processor_of_children()
    subprocess.run(line + ([] if key["index"] == "-" else ["--graph.index", key["index"]]), check=True)
    wall, processor = time.perf_counter() - start, processor_of_children() - before
    record = files.read_json(os.path.join(output, method + ".json"))
    graph = record["stage_seconds"].get("graph", 0.0)
    found = glob.glob(os.path.join(output, "graph", "*", "meta.json"))
    recall = files.read_json(found[0]).get("recall", 1.0) if found else 1.0
    ranks = np.load(os.path.join(output, method + ".npy"), mmap_mode="r")
    judged = relevance.from_labels(labels[:len(ranks)].astype(int), labels[len(ranks):].astype(int))
    values = {"graph": graph, "method_seconds": record["seconds"] - graph, "wall": wall, "processor": processor}
    return dict({name: "{:.2f}".format(value) for name, value in values.items()},
                peak_mb=record["peak_memory_mb"], recall=recall,
                mAP="{:.4f}".format(metrics.evaluate(ranks, judged)["mAP"]))


def processor_of_children():
    """Return the processor seconds of all processes that were started here and have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


if __name__ == "__main__":
    main()
