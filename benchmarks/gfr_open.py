"""GFR on classes that it has never seen, against CFA and no method: mAP (step sum) over sets and seeds.

    python benchmarks/gfr_open.py --sets DIR --output gfr_open.csv [--methods none,cfa,gfr] [--seeds 3]

DIR holds what benchmarks/feature_sets.py wrote. Of a set with a mask `train` the rows of the mask are learned from with
seed 0; with any other seed 60 percent of the classes, drawn anew. The rest is the gallery and asks all queries, each
itself left out; where the set has a mask `query`, those rows ask and the others are the gallery. "cfa tuned" has its k
and alpha chosen with the labels of the train classes. "gfr best" is the best of a grid *with the labels of the unseen
classes*: learned metric or none, no propagation or sharpness 1, 2, 4 x strength .8, .9, .97. Rows that are in the CSV
already are not computed again.
"""
import argparse
import csv
import glob
import itertools
import os
import time

import numpy as np

from slim_retrieval.evaluation import average_precision
from slim_retrieval.graph import (
    cfa,
    gfr,
    gfr_edge,
    gfr_edge_learning,
    gfr_metric,
    gfr_metric_learning,
    gfr_options,
    gfr_validation,
    knn,
    plain,
    ranking,
)

COLUMNS = ["set", "seed", "method", "mAP", "seconds", "note"]
GRID = [(k, alpha) for k in (3, 5, 8, 12, 20, 30, 50) for alpha in (0.9, 0.95)]
PUBLISHED = {"layer": "sage"}
BEST_SAGE = {"layer": "sage", "layers": 2, "activate": True, "residue": True, "epochs": 2}
GFRS = {"gfr": {}, "gfr sage": PUBLISHED, "gfr sage2": BEST_SAGE, "gfr lda": {"metric": "lda"},
        "gfr edges only": {"metric": "none"}, "gfr gat": {"layer": "gat"}, "gfr appnp": {"layer": "appnp"},
        "gfr gcnii": {"layer": "gcnii"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    parser.add_argument("--only", default="", help="names of sets; default: all with a mask train")
    parser.add_argument("--methods", default="none,cfa,cfa tuned,metric,metric+cfa tuned,gfr,gfr unlabelled,gfr sage")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = read(arguments.output)
    for name in arguments.only.split(",") if arguments.only else open_sets(arguments.sets):
        with np.load(os.path.join(arguments.sets, name + ".npz")) as stored:
            data = {key: stored[key] for key in stored.files}
        for seed in range(arguments.seeds):
            for method in arguments.methods.split(","):
                if (name, str(seed), method) not in rows:
                    value, seconds, note = run(method, data, seed)
                    rows[name, str(seed), method] = [name, seed, method, "{:.4f}".format(value),
                                                         "{:.1f}".format(seconds), note]
                    write(arguments.output, rows)
                    print(*rows[name, str(seed), method], flush=True)
    print(table(rows))


def run(method, data, seed):
    """Return (mAP on unseen classes, seconds, note) of a method."""
    features, labels = data["features"].astype(np.float32), data["labels"]
    train = split(data, seed)
    query = data["query"][~train] if "query" in data else None
    unseen, truth = features[~train], labels[~train]
    gallery = unseen if query is None else unseen[~query]
    began = time.perf_counter()
    if method == "gfr best":
        value, note = best_gfr(features[train], labels[train], unseen, truth, query, seed)
        return value, time.perf_counter() - began, note
    model, note = fitted(method, features[train], labels[train], gallery, seed)
    value = score(model, unseen, truth, query)
    return value, time.perf_counter() - began, note


def score(model, unseen, truth, query):
    """Return the mAP of a fitted model: of the rows `query` in the others, or of all, itself left out (None)."""
    if query is None:
        return mean_precision(ranked(model.gallery_, model.gallery_, own=True), truth, truth)
    return mean_precision(ranked(model.transform(unseen[query]), model.gallery_), truth[query], truth[~query])


def best_gfr(train, labels, unseen, truth, query, seed):
    """Return (mAP, note) of the best of the grid, chosen with the labels that are searched for."""
    found, dense = {}, np.unique(labels, return_inverse=True)[1]
    for metric in ("trained", "none"):
        options = gfr_options.resolve({"metric": metric})
        learned = gfr_metric_learning.learn(train, dense, options, seed)
        scorer = gfr_edge_learning.learn(learned.galleries, options, seed)[0].scorer
        model = gfr.GFR(seed=seed, metric=metric)
        model.width_, model.metric_ = train.shape[1], learned.metric
        for sharpness, strength in [(1.0, 0.0)] + list(itertools.product([1.0, 2.0, 4.0], [0.8, 0.9, 0.97])):
            if not scorer.weight.any() and strength:
                continue  # no edges were learned
            model.edges_ = gfr_edge.Edges(scorer, sharpness, strength, 0.0, gfr_edge_learning.LAYERS)
            model.fit(unseen if query is None else unseen[~query])
            found["metric={} sharpness={:g} strength={:g}".format(metric, sharpness, strength)] = score(
                model, unseen, truth, query)
    best = max(found, key=found.get)
    return found[best], best


def split(data, seed):
    """Return bool [n], the rows that are learned from."""
    if seed == 0 and "train" in data:
        return data["train"]
    classes = np.random.RandomState(seed).permutation(np.unique(data["labels"]))
    return np.isin(data["labels"], classes[:int(round(0.6 * len(classes)))])


def fitted(method, train, labels, gallery, seed):
    """Return (an estimator with gallery_ and transform, a note on what it chose)."""
    if method == "none":
        return plain.Plain().fit(gallery), ""
    if method == "cfa":
        return cfa.CFA().fit(gallery), ""
    if method == "cfa tuned":
        return best_cfa([(train, labels)], gallery)
    if method.startswith("metric"):
        dense = np.unique(labels, return_inverse=True)[1]
        found = gfr_metric_learning.learn(train, dense, gfr_options.resolve({}), seed)
        behind = gfr_metric.apply(found.metric, gallery)
        model, note = best_cfa(found.galleries, behind) if "cfa" in method else (plain.Plain().fit(behind), "")
        return Behind(found.metric, model), note
    if method == "gfr unlabelled":
        return gfr.GFR(seed=seed).learn(gallery).fit(gallery), ""
    model = gfr.GFR(seed=seed, **GFRS[method]).learn(train, labels)
    kept = ("with_labels", "without_labels", "propagated", "metric_strength", "metric_epochs", "sharpness", "strength",
            "layers", "train_accuracy")
    return model.fit(gallery), " ".join("{}={:.3g}".format(k, v) for k, v in model.report_.items() if k in kept)


class Behind:
    """A method behind a metric."""

    def __init__(self, metric, model):
        self.metric, self.model, self.gallery_ = metric, model, model.gallery_

    def transform(self, queries):
        return self.model.transform(gfr_metric.apply(self.metric, queries))


def best_cfa(galleries, gallery):
    """Return (CFA fitted to the gallery with the k and alpha that are best on labelled galleries, these)."""
    near = [knn.neighbors(rows, min(50, len(rows) - 1)) for rows, _ in galleries]
    scores = {}
    for k, alpha in GRID:
        fits = [cfa.CFA(levels=[{"k": [k], "alpha": alpha}]).fit(rows, of) for (rows, _), of in zip(galleries, near)]
        scores[k, alpha] = np.mean([gfr_validation.mean_average_precision(model.gallery_, labels)
                                    for model, (_, labels) in zip(fits, galleries)])
    k, alpha = max(scores, key=scores.get)
    return cfa.CFA(levels=[{"k": [k], "alpha": alpha}]).fit(gallery), "k={} alpha={}".format(k, alpha)


def ranked(queries, gallery, own=False):
    """Return the whole ranking, int [q, n], or [n, n - 1] of the gallery for itself."""
    ranks = ranking.rank(queries, gallery, len(gallery), 1024)
    if own:
        ranks = ranks[ranks != np.arange(len(ranks))[:, None]].reshape(len(ranks), -1)
    return ranks


def mean_precision(ranks, labels, gallery_labels):
    """Return mAP over the queries that have a positive."""
    hits = gallery_labels[ranks] == np.asarray(labels)[:, None]
    return float(np.nanmean(average_precision.step(hits, hits.sum(axis=1))))


def open_sets(folder):
    """Return the names of the sets with a mask `train`."""
    return [os.path.basename(path)[:-4] for path in sorted(glob.glob(os.path.join(folder, "*.npz")))
            if "train" in np.load(path).files]


def read(path):
    """Return {(set, seed, method): row} of a CSV, {} where there is none."""
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8", newline="") as stream:
        return {tuple(row[:3]): row for row in list(csv.reader(stream))[1:]}


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS] + list(rows.values()))


def table(rows):
    """Return a table of mean and standard deviation over seeds: sets down, methods across, the mean of sets last."""
    methods = list(dict.fromkeys(method for _, _, method in rows))
    lines = [["set"] + methods]
    for name in dict.fromkeys(name for name, _, _ in rows):
        values = [[float(row[3]) for key, row in rows.items() if key[0] == name and key[2] == method]
                  for method in methods]
        lines.append([name] + ["{:.4f} +- {:.4f}".format(np.mean(of), np.std(of)) if of else "" for of in values])
    means = [np.mean([float(row[3]) for key, row in rows.items() if key[2] == method]) for method in methods]
    lines.append(["mean"] + ["{:.4f}".format(value) for value in means])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
