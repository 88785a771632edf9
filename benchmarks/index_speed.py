"""Milliseconds of one query, asked by itself: of the features as they are, and of CFA's saved index.

    python benchmarks/index_speed.py [--sizes 10000 50000] [--dimensions 256] [--output index_speed.csv]

    none   exact search among the features
    cfa    without settings, opened from its files: transform (its search among the features included), then search

The features are gallery_generator.py's; the queries are further rows of it. build: seconds of fitting and saving, graph
included; megabytes: of the index; open_ms: of mapping the files; first_ms: of the first query, whose pages may have to
be read; query_ms: the median of the next 50; processor_ms: the median of what the process itself was given for each.
"""
import argparse
import os
import tempfile
import time

import csv_rows
import gallery_generator
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.common.errors import command
from slim_retrieval.graph import index, sources

QUERIES = 51
COLUMNS = ["n", "d", "method", "build", "megabytes", "open_ms", "first_ms", "query_ms", "processor_ms"]


@command
def main(argv=None):
    """Measure each size and print, and with --output write, a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 50000], metavar="N", help="gallery images")
    parser.add_argument("--dimensions", type=int, default=256, metavar="D")
    parser.add_argument("--output", metavar="FILE.csv")
    flags = parser.parse_args(argv)
    rows = []
    for n in flags.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += [dict(measure(method, n, flags.dimensions, folder), n=n, d=flags.dimensions, method=method)
                     for method in ("none", "cfa")]
    print(" ".join("{:>12}".format(name) for name in COLUMNS))
    for row in rows:
        print(" ".join("{:>12}".format(row[name]) for name in COLUMNS))
    if flags.output:
        machine = csv_rows.where()
        csv_rows.write(flags.output, COLUMNS + ["machine"], [dict(row, machine=machine) for row in rows])


def measure(method, n, d, folder):
    """Return {column: value} of one method on n gallery images."""
    path = os.path.join(folder, "features.npy")
    if not os.path.isfile(path):
        gallery_generator.write(path, n + QUERIES, d)
    whole = np.load(path, mmap_mode="r")
    gallery, queries = whole[:n], np.asarray(whole[n:])
    config = to_plain(resolve())
    key = files.digest(gallery)

    def opened():
        start = time.perf_counter()
        source = sources.Source(gallery, key, key, None, path)
        return index.fitted(method, config, key, lambda: (source, None), folder), time.perf_counter() - start

    build, (estimator, again) = opened()[1], opened()
    seconds, processor = [], []
    for row in range(QUERIES):
        before = time.process_time()
        seconds.append(index.ask(estimator, queries[row:row + 1], 10)[2])
        processor.append(time.process_time() - before)
    stored = os.path.join(folder, "index", method)
    size = sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(stored) for name in names)
    return {"build": round(build, 2), "megabytes": round(size / 1e6, 3), "open_ms": round(1e3 * again, 2),
            "first_ms": round(1e3 * seconds[0], 2), "query_ms": round(1e3 * np.median(seconds[1:]), 2),
            "processor_ms": round(1e3 * np.median(processor[1:]), 2)}


if __name__ == "__main__":
    main()
