"""What tune.py chooses for CFA from fifty known pairs, and what that is worth on all images.

    python benchmarks/tune_pairs.py --sets DIR --output pairs.csv [--pairs 50] [--seeds 8]

DIR holds what benchmarks/feature_sets.py wrote. Pairs are two images of one class, drawn anew with each seed. Tried are
the residuals of graph/candidates.py, for the sake of time without the given levels. A row of the CSV: the mAP (all
images as queries, each itself left out, step sum) of plain search, of the default and of the choice.
"""
import argparse
import csv
import glob
import os

import numpy as np

from slim_retrieval.commands import tune
from slim_retrieval.graph import cfa_automatic, knn
from slim_retrieval.graph.candidates import CANDIDATES
from slim_retrieval.graph.cfa import CFA

RESIDUALS = [1.0] + [candidate["residual"] for candidate in CANDIDATES["cfa"] if "residual" in candidate]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=8, help="draws of the pairs")
    parser.add_argument("--largest", type=int, default=2600, help="leave out sets with more images")
    arguments = parser.parse_args()
    changes = []
    with open(arguments.output, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["set", "seed", "residual", "none", "default", "chosen"])
        for path in sorted(glob.glob(os.path.join(arguments.sets, "*.npz"))):
            with np.load(path) as stored:
                features, labels = stored["features"], stored["labels"]
                if "train" in stored or len(features) > arguments.largest:
                    continue
            ranks = rankings(features)
            values = [np.nanmean(tune.score_labels(labels)[1](one)) for one in ranks]
            for seed in range(arguments.seeds):
                chosen = choose(ranks, draw(labels, arguments.pairs, seed))
                row = [values[0], values[1], values[0] if chosen is None else values[1 + chosen]]
                changes.append((row[2] - row[0], os.path.basename(path)[:-4]))
                writer.writerow([changes[-1][1], seed, "" if chosen is None else RESIDUALS[chosen]]
                                + ["{:.4f}".format(value) for value in row])
            found = " ".join("{:+.1f}".format(100 * change) for change, _ in changes[-arguments.seeds:])
            print("{}: default {:+.1f}, chosen {} points".format(
                changes[-1][1], 100 * (values[1] - values[0]), found), flush=True)
    print("{} choices: mean {:+.1f}, {} below plain search, worst {:+.1f} ({})".format(
        len(changes), 100 * np.mean([c for c, _ in changes]), sum(c < 0 for c, _ in changes), 100 * min(changes)[0],
        min(changes)[1]))


def rankings(features):
    """Return the rankings of plain search and of each residual: a list of int32 [n, n - 1]."""
    n, model = len(features), CFA().fit(features)
    result = [knn.neighbors(features, n - 1)[0]]
    for residual in RESIDUALS:
        rows = cfa_automatic.combine(model.levels_[-1][:], model.original_, model.parts_, residual)
        result.append(knn.neighbors(rows, n - 1)[0])
    return result


def draw(labels, count, seed):
    """Return int [count, 2]: two images of one class, drawn by image."""
    random, pairs = np.random.RandomState(seed), []
    while len(pairs) < count:
        first = random.randint(len(labels))
        others = np.flatnonzero(labels == labels[first])
        second = random.choice(others)
        if first != second:
            pairs.append((first, second))
    return np.array(pairs)


def choose(ranks, pairs):
    """Return the number of the residual that tune.py picks from the pairs, or None for plain search."""
    queries, score = tune.score_pairs(pairs)
    plain = score(ranks[0][queries])
    return tune.pick([tune.lead(score(one[queries]), plain) for one in ranks[1:]])


if __name__ == "__main__":
    main()
