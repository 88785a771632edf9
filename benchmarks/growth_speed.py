"""Images added to a fitted gallery and taken away (growth.update), beside fitting anew.

    python benchmarks/growth_speed.py [--sizes 10000 50000] [--dimensions 256] [--output growth_speed.csv]
        [--counts 1 100 1%] [--updates 10]

For each size CFA without settings is fitted on gallery_generator.py's features; then 1, 100 and 1 % of the images are
added, and as many deleted, each time to and from the fitted gallery, and at last ten times in a row a thousandth is
added and as many deleted (of this the seconds are those of one update, in the mean).

    seconds, processor   of the update, its graph included: passed, and given to the process
    anew, processor_anew of fitting, graph included, to the first gallery (the last row: to the last one)
    share                of the images solved for
    stated, error        |Y - Y*| / |Y| over the solutions Y: the bound that the update states, and measured, Y* being
                         the same system solved to a tolerance of 1e-4
    overlap              of the 100 nearest of 500 gallery images, beside those of a gallery fitted anew
    mAP, mAP_anew        of their rankings to 1,000, both ways
    overlap_seeds        overlap of two fits that differ in the seed alone: other random images behind the signatures

A fit anew for comparison is made up to --compared images after each change, beyond only after the last.
"""
import argparse
import functools
import os
import tempfile
import time

import csv_rows
import gallery_generator
import numpy as np

from slim_retrieval.common.errors import command
from slim_retrieval.evaluation import metrics, relevance
from slim_retrieval.graph import growth, knn
from slim_retrieval.graph.cfa import CFA

QUERIES, DEPTH, NEAREST = 500, 1000, 100
COLUMNS = ["n", "d", "change", "seconds", "anew", "processor", "processor_anew", "share", "stated", "error", "overlap",
           "overlap_seeds", "mAP", "mAP_anew"]


@command
def main(argv=None):
    """Measure each size; print, and with --output write, a row for each change."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10000, 50000], metavar="N", help="gallery images")
    parser.add_argument("--dimensions", type=int, default=256, metavar="D")
    parser.add_argument("--compared", type=int, default=20000, metavar="N", help="images up to which each is compared")
    parser.add_argument("--counts", nargs="+", default=["1", "100", "1%"], metavar="N", help="added, and deleted")
    parser.add_argument("--updates", type=int, default=10, metavar="N", help="in a row; 0: none")
    parser.add_argument("--output", metavar="FILE.csv")
    flags = parser.parse_args(argv)
    rows = []
    print(" ".join("{:>14}".format(name) for name in COLUMNS))
    for n in flags.sizes:
        for row in measure(n, flags.dimensions, flags, n <= flags.compared):
            rows.append(dict(row, n=n, d=flags.dimensions))
            print(" ".join("{:>14}".format(rows[-1].get(name, "")) for name in COLUMNS), flush=True)
            if flags.output:
                csv_rows.write(flags.output, COLUMNS, rows)


def measure(n, d, flags, compared):
    """Yield {column: value} of each change to a gallery of n images."""
    counts = [max(1, n * int(count[:-1]) // 100) if count.endswith("%") else int(count) for count in flags.counts]
    part = max(1, n // 1000)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "features.npy")
        labels = gallery_generator.write(path, n + max(counts + [flags.updates * part]), d)
        features = np.load(path)
    _timed(lambda: CFA(keep=True).fit(features[:3000]))  # what is compiled is compiled now
    model, anew = _timed(lambda: CFA(keep=True).fit(features[:n]))
    taken = np.random.RandomState(1).permutation(n)
    for count in sorted(set(counts)):
        yield _changed(model, features, labels, np.arange(n + count), "add {}".format(count), anew, compared)
        yield _changed(model, features, labels, np.sort(taken[count:]), "delete {}".format(count), anew, compared)
    rows, random, before = np.arange(n), np.random.RandomState(2), np.zeros(2)
    for update in range(flags.updates):
        rows = np.concatenate([np.sort(random.permutation(rows)[part:]), n + np.arange(part) + update * part])
        if update < flags.updates - 1:
            model, took = _timed(functools.partial(growth.update, model, features[rows]))
            before += took
    if flags.updates:
        yield _changed(model, features, labels, rows, "{} x {}+{}".format(flags.updates, part, part), None, True,
                       before, flags.updates)


def _changed(model, features, labels, rows, change, anew, compared, before=0, updates=1):
    """Update to the gallery of some rows; return its {column: value}. before: seconds of the updates before it."""
    gallery = features[rows]
    updated, took = _timed(lambda: growth.update(model, gallery))
    took = (took + before) / updates
    report, exact = updated.report_["growth"], growth.update(updated, gallery, tolerance=1e-4)
    found = {"change": change, "share": round(report["share"], 4), "stated": round(report["error"], 4),
             "error": round(_distance(updated, exact), 4)}
    if compared:
        fitted, again = _timed(lambda: CFA().fit(gallery))
        anew = again if anew is None else anew
        asked = np.random.RandomState(3).permutation(len(rows))[:QUERIES]
        ranks, true, other = (_ranks(one, asked) for one in (updated, fitted, CFA(seed=1).fit(gallery)))
        found.update(overlap=_overlap(ranks, true), overlap_seeds=_overlap(other, true),
                     mAP=_precision(ranks, labels[rows], asked), mAP_anew=_precision(true, labels[rows], asked))
    return dict(found, **{name: "{:.2f}".format(value) for name, value in zip(
        ["seconds", "processor", "anew", "processor_anew"], list(took) + list(anew))})


def _timed(work):
    """Return (result, array of seconds that passed and seconds that the process was given)."""
    start = np.array([time.perf_counter(), time.process_time()])
    result = work()
    return result, np.array([time.perf_counter(), time.process_time()]) - start


def _distance(model, exact):
    """Return |Y - Y*| / |Y| of the part of the solution for which it is larger."""
    pairs = []
    for part, own, other in zip(model.parts_, model.systems_[0][0]["lengths"], exact.systems_[0][0]["lengths"]):
        found, true = (one.levels_[0][:][:, part] * lengths[:, None] for one, lengths in ((model, own), (exact, other)))
        pairs.append(np.linalg.norm(found - true) / np.linalg.norm(found))
    return float(max(pairs))


def _ranks(model, asked):
    """Return int32 [q, DEPTH]: the gallery images nearest to some of them, these themselves among them."""
    return knn.search(model.gallery_[asked], model.gallery_, DEPTH)[0]


def _overlap(ranks, others):
    return round(float(np.mean([len(set(a) & set(b)) / NEAREST for a, b in zip(
        ranks[:, :NEAREST].tolist(), others[:, :NEAREST].tolist())])), 4)


def _precision(ranks, labels, asked):
    """Return the mean average precision; an image's positives are the others of its class, itself is left out."""
    judged = relevance.from_labels(labels[asked].astype(int), labels.astype(int), asked, np.arange(len(labels)))
    return round(float(metrics.evaluate(ranks, judged)["mAP"]), 4)


if __name__ == "__main__":
    main()
