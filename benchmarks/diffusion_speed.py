"""Seconds of the sparse product and of the solver against the number of images, beside SciPy's product.

    python benchmarks/diffusion_speed.py [--output diffusion_speed.csv] [--sizes 10000 100000 1000000] [--columns 64]
    python benchmarks/diffusion_speed.py --sizes 300000 --columns 512
    python benchmarks/diffusion_speed.py --graphs large/output/graph/knn-*    # as retrieve.py stores them

Graphs with known classes: classes of 100 images, numbered at random; each image is joined to seven of its class and to
one in any, in both directions, about 15 edges an image. A stored graph gives its mutual neighbours. Measured are

    scipy        one product S X by SciPy, all columns at once
    product      the same by graph/sparse_product.py, S and X renumbered so that neighbours lie near each other, columns
                 in blocks as the solver has them
    solve        graph/diffusion.py to a residual of 1e-3 at alpha 0.95 (24 products), renumbering, reading and writing
                 included

--repeats times in turn, of which each one's best counts. The last lines are ratios, and the exponent of the solver's
time in n between one size and the next. 10^6 images and 64 columns take 3 GB.
"""
import argparse
import os
import time

import csv_rows
import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import command
from slim_retrieval.graph import affinity, diffusion, mutual_reach, symmetric
from slim_retrieval.graph.compiled import workers
from slim_retrieval.graph.sparse_product import Rows

ALPHA, TOLERANCE = 0.95, 1e-3
CLASS = 100  # images of one class
COLUMNS = ["graph", "n", "d", "edges", "scipy", "product", "solve", "machine"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="diffusion_speed.csv", help="CSV to write")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 100000, 1000000], help="numbers of images")
    parser.add_argument("--graphs", nargs="+", metavar="FOLDER", help="stored graphs instead")
    parser.add_argument("--columns", type=int, default=64, help="width of the features")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the best counts")
    flags = parser.parse_args(argv)
    rows = []
    for made in flags.graphs or flags.sizes:
        matrix = stored_graph(made) if flags.graphs else class_graph(made)
        rows.append(dict(measure(matrix, flags.columns, flags.repeats), graph="stored" if flags.graphs else "classes"))
        print("n {n:>9,} d {d} edges {edges:,}: scipy {scipy:.3f} s, product {product:.3f} s (x {0:.1f}), solve "
              "{solve:.2f} s".format(rows[-1]["scipy"] / rows[-1]["product"], **rows[-1]), flush=True)
    for before, after in zip(rows, rows[1:]):
        print("solver's exponent from {:,} to {:,}: {:.2f}".format(before["n"], after["n"], exponent(before, after)))
    csv_rows.write(flags.output, COLUMNS, rows)
    print("written: " + flags.output)


def measure(matrix, d, repeats):
    """Return the best seconds of each as a row of the table; matrix: S."""
    n = matrix.shape[0]
    features = np.random.RandomState(1).rand(n, d).astype(np.float32)
    order, places = diffusion.near_each_other(matrix)
    with workers() as pool:
        product = Rows(diffusion.renumbered(matrix, order), pool).product
        block = diffusion.columns_at_once(n)
        blocks = [np.ascontiguousarray(features[order, start:start + block]) for start in range(0, d, block)]
        checked = product(blocks[0])[places[:100]], (matrix[:100] @ features)[:, :block]
        assert np.allclose(*checked, atol=1e-4), "the two products differ"
        best = dict.fromkeys(COLUMNS[4:7], np.inf)
        for _ in range(repeats):
            for name, run in (("scipy", lambda: matrix @ features), ("product", lambda: list(map(product, blocks))),
                              ("solve", lambda: diffusion.solve(matrix, ALPHA, features, TOLERANCE))):
                start = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - start)
    return dict({name: round(seconds, 4) for name, seconds in best.items()}, n=n, d=d, edges=matrix.nnz,
                machine=csv_rows.where())


def stored_graph(folder):
    """Return S of the mutual neighbours of a graph that graph/knn_store.py has written."""
    near = [np.load(os.path.join(folder, name + ".npy"), mmap_mode="r") for name in ("ids", "similarities")]
    return affinity.normalised(affinity.affinity(mutual_reach.joined(*near, near[0].shape[1])[0], 3.0))


def class_graph(n, seed=0):
    """Return S of a graph of classes, float32 CSR [n, n]."""
    random = np.random.RandomState(seed)
    numbers = random.permutation(n)  # image i is the numbers[i]-th when sorted by class
    position = np.repeat(np.arange(n), 7)
    first = position // CLASS * CLASS
    inside = first + random.randint(CLASS, size=len(position)) % np.minimum(CLASS, n - first)
    rows = numbers[np.concatenate([position, np.arange(n)])]
    columns = numbers[np.concatenate([inside, random.randint(n, size=n)])]
    return affinity.normalised(sparse.csr_matrix(symmetric.from_pairs(rows, columns, 0.5 + random.rand(len(rows)), n)))


def exponent(before, after):
    """Return how the solver's time grows from one row of the table to the next: seconds ~ n^exponent."""
    return np.log(after["solve"] / before["solve"]) / np.log(after["n"] / before["n"])


if __name__ == "__main__":
    main()
