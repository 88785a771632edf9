"""Every method on every feature set: mAP with all images as queries, each itself left out (step sum).

    python benchmarks/study.py --sets DIR --output study.csv [--methods none,cfa] [--tuned] [--seeds 3]

DIR holds what benchmarks/feature_sets.py wrote. A row of the CSV is one method with one setting on one set: the
default first, with --tuned also each of graph/candidates.py, so that the best *with labels* can be read off. Rows
that are there already are not computed again. At the end a table is printed: the default, and the best in brackets.
"""
import argparse
import csv
import dataclasses
import glob
import json
import os
import time

import numpy as np

from slim_retrieval.common import method_schema, schema
from slim_retrieval.evaluation import average_precision, relevance
from slim_retrieval.graph import knn, methods, ranking
from slim_retrieval.graph.candidates import CANDIDATES

COLUMNS = ["set", "n", "d", "classes", "method", "setting", "seed", "mAP", "seconds"]
WITH_CHANCE = {"gss", "gfr"}  # methods that are run with several seeds; the seed of cfa only cuts cells
# gfr learns from the gallery here, without labels; with labels: benchmarks/gfr_open.py.


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    parser.add_argument("--methods", default=",".join(methods.METHODS))
    parser.add_argument("--tuned", action="store_true", help="also the candidates of tune.py")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of methods in which there is chance")
    parser.add_argument("--largest", type=int, default=4000, help="leave out sets with more images")
    arguments = parser.parse_args()
    rows = read(arguments.output)
    for path in sorted(glob.glob(os.path.join(arguments.sets, "*.npz"))):
        name = os.path.basename(path)[:-4]
        with np.load(path) as stored:
            features, labels, learning = stored["features"], stored["labels"], "train" in stored
        if not learning and len(features) <= arguments.largest:
            score_set(name, features, labels, arguments, rows)
    print(table(list(rows.values())))


def score_set(name, features, labels, arguments, rows):
    """Score each method and setting that is not among `rows` yet; append them to the file."""
    near = None
    for method in arguments.methods.split(","):
        candidates = CANDIDATES.get(method, [{}]) if arguments.tuned else [{}]
        for setting in candidates:
            for seed in range(arguments.seeds if method in WITH_CHANCE else 1):
                key = (name, method, json.dumps(setting), str(seed))
                if key in rows:
                    continue
                near = near or knn.neighbors(features, min(100, len(features) - 1))
                value, seconds = score(method, setting, seed, features, labels, near)
                rows[key] = dict(zip(COLUMNS, [name, len(features), features.shape[1], len(np.unique(labels)), method,
                                               key[2], seed, "{:.4f}".format(value), "{:.2f}".format(seconds)]))
                append(arguments.output, rows[key])
                print("{set:20s} {method:20s} {setting:30s} {mAP} {seconds:>8s} s".format(**rows[key]), flush=True)


def score(method, setting, seed, features, labels, near):
    """Return (mAP, seconds after the k-NN graph) of one method with one setting."""
    section = dict(defaults(method), **setting)
    start = time.perf_counter()
    estimator = methods.METHODS[method](section, seed)
    if methods.needs_training(method, section):
        estimator.learn(features)
    estimator.fit(features, neighbors=near)
    ranks = ranking.rank_gallery(estimator, features, len(features) - 1)
    seconds = time.perf_counter() - start
    codes, ids = np.unique(labels, return_inverse=True)[1], np.arange(len(labels))
    judged = relevance.from_labels(codes, codes, ids, ids)
    hits, junk = judged.judge(ids, ranks)
    return np.nanmean(average_precision.step(hits, judged.num_positives, junk)), seconds


def defaults(method):
    """Return the method's section of the configuration as it is when nothing is given."""
    fields = {f.name: f.type for f in dataclasses.fields(schema.Config)}
    kind = fields.get(method)
    return dataclasses.asdict(kind()) if kind and kind.__module__ == method_schema.__name__ else {}


def read(path):
    """Return the rows of the CSV file by (set, method, setting, seed); none where there is no file."""
    if not os.path.isfile(path):
        return {}
    with open(path, newline="") as stream:
        return {(r["set"], r["method"], r["setting"], r["seed"]): r for r in csv.DictReader(stream)}


def append(path, row):
    new = not os.path.isfile(path)
    with open(path, "a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def table(rows):
    """Return a Markdown table: sets by methods, mAP of the default and in brackets of the best setting."""
    names = [m for m in methods.METHODS if any(r["method"] == m for r in rows)]
    lines = ["| set | n | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    found = {m: [] for m in names}
    for name in sorted({r["set"] for r in rows}):
        cells = []
        for method in names:
            mine = [r for r in rows if r["set"] == name and r["method"] == method]
            default = np.mean([float(r["mAP"]) for r in mine if r["setting"] == "{}"] or [np.nan])
            best = max([float(r["mAP"]) for r in mine] or [np.nan])
            found[method].append((default, best))
            cells.append("{:.3f} ({:.3f})".format(default, best) if len(mine) > 1 else "{:.3f}".format(default))
        lines.append("| {} | {} | {} |".format(name, [r["n"] for r in rows if r["set"] == name][0], " | ".join(cells)))
    means = ["{:.4f} ({:.4f})".format(*np.mean(found[m], axis=0)) for m in names]
    return "\n".join(lines + ["| mean | | " + " | ".join(means) + " |"])


if __name__ == "__main__":
    main()
