"""Queries that are not in the graph: CFA with appended queries against one graph of gallery and queries, and none.

    python benchmarks/unseen_queries.py --sets DIR --output unseen.csv [--seeds 3]

DIR holds what benchmarks/feature_sets.py wrote. A fifth of the images, 500 at most, are drawn as queries; a set with an
array `query` has its own. mAP by step sum.
"""
import argparse
import csv
import glob
import os

import numpy as np

from slim_retrieval.evaluation import metrics, relevance
from slim_retrieval.graph import ranking
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.graph.cfa_joint import JointCFA
from slim_retrieval.graph.plain import Plain

METHODS = {"none": Plain, "cfa": CFA, "cfa_joint": JointCFA}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the queries")
    parser.add_argument("--largest", type=int, default=4000, help="leave out sets with more images")
    arguments = parser.parse_args()
    means = []
    with open(arguments.output, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["set", "n", "seed"] + list(METHODS))
        for path in sorted(glob.glob(os.path.join(arguments.sets, "*.npz"))):
            with np.load(path) as stored:
                arrays = dict(stored)
            if "train" in arrays or len(arrays["labels"]) > arguments.largest:
                continue
            name = os.path.basename(path)[:-4]
            found = [score(arrays, seed) for seed in range(1 if "query" in arrays else arguments.seeds)]
            for seed, values in enumerate(found):
                writer.writerow([name, len(arrays["labels"]), seed] + ["{:.4f}".format(v) for v in values])
            means.append(np.mean(found, axis=0))
            print("| {} | {} |".format(name, " | ".join("{:.3f}".format(v) for v in means[-1])), flush=True)
    print("| mean | {} |".format(" | ".join("{:.4f}".format(v) for v in np.mean(means, axis=0))))


def score(arrays, seed):
    """Return the mAP of each method, with the seed's draw of queries."""
    features, codes = arrays["features"], np.unique(arrays["labels"], return_inverse=True)[1]
    query = arrays.get("query")
    if query is None:
        query = np.zeros(len(codes), bool)
        query[np.random.RandomState(seed).permutation(len(codes))[:min(500, len(codes) // 5)]] = True
    gallery, judged = features[~query], relevance.from_labels(codes[query], codes[~query])
    values = []
    for make in METHODS.values():
        method = make().fit(gallery)
        if hasattr(method, "rank"):
            ranks = method.rank(features[query], len(gallery))
        else:
            ranks = ranking.rank(method.transform(features[query]), method.gallery_, len(gallery))
        values.append(metrics.evaluate(ranks, judged)["mAP"])
    return values


if __name__ == "__main__":
    main()
