"""How fast rankings are scored, against plain Python loops, and how much memory a large evaluation takes.

    python benchmarks/metrics_speed.py [--output metrics_speed.csv] [--part loops|large] [--full_queries 100]

loops    1,000 queries, full rankings of 7,677 images, junk for each query, in this process:
             ours         metrics.evaluate with all its metrics, the relevance made from the lists beforehand each time
             per_result   trapezoid AP by walking down each ranking, name by name, as VGG's compute_ap does
             per_query    trapezoid AP with two look-ups (np.isin) for each query, as revisited's evaluation does
         All three give the same mAP, which is checked. Each is the best of three runs, in turn.
large    10,000 queries on a million images, 100 of each class, by the command itself, in a process of its own:
             depth_1000   eval_map.py --ranks R.npy --ground_truth gt.csv, rankings 1,000 deep
             full_depth   the same of --full_queries queries ranked to the last image (10,000 would be a file of 40 GB)
         peak_mb is the whole process: interpreter, libraries, ground truth, rankings.

About three minutes on 2 cores, 1 GB of disk for the part large.
"""
import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.evaluation import metrics, relevance

COLUMNS = ["name", "queries", "images", "depth", "seconds", "peak_mb", "mAP"]
SCRIPT = ("import sys, time; from slim_retrieval.commands import eval_map; from slim_retrieval.common import machine; "
          "start = time.time(); eval_map.main(sys.argv[1:]); "
          "print('MEASURED', time.time() - start, machine.peak_memory_mb())")


def random_lists(num_queries=1000, num_images=7677, classes=101, junk=50, seed=0):
    """Return (ranks int32 [q, n], positives, junk: a list of ids for each query); right images tend to the front."""
    random = np.random.RandomState(seed)
    labels, asked = random.randint(classes, size=num_images), random.randint(classes, size=num_queries)
    ranks, positives, removed = np.empty((num_queries, num_images), np.int32), [], []
    for row, label in enumerate(asked):
        ranks[row] = np.argsort(1.5 * random.randn(num_images) - (labels == label))
        positives.append(np.flatnonzero(labels == label))
        removed.append(random.choice(np.flatnonzero(labels != label), junk, replace=False))
    return ranks, positives, removed


def ours(ranks, positives, junk):
    return metrics.evaluate(ranks, relevance.from_lists(positives, junk, ranks.shape[1]), "trapezoid")["mAP"]


def per_result(ranks, positives, junk):
    """Walk down each ranking."""
    total = 0.0
    for ranked, right, removed in zip(ranks.tolist(), positives, junk):
        right, removed = set(right.tolist()), set(removed.tolist())
        ap, found, place, before = 0.0, 0, 0, 1.0
        for image in ranked:
            if image in removed:
                continue
            place += 1
            if image in right:
                found += 1
                ap += (before + found / place) / 2
            before = found / place
        total += ap / len(right)
    return total / len(ranks)


def per_query(ranks, positives, junk):
    """Look up each ranking's positives and junk, then walk along the positives."""
    total = 0.0
    for ranked, right, removed in zip(ranks, positives, junk):
        places, behind = np.flatnonzero(np.isin(ranked, right)), np.flatnonzero(np.isin(ranked, removed))
        ap, passed = 0.0, 0
        for order, place in enumerate(places.tolist()):
            while passed < len(behind) and behind[passed] < place:
                passed += 1
            place -= passed
            before = 1.0 if place == 0 else order / place
            ap += (before + (order + 1) / (place + 1)) / 2
        total += ap / len(right)
    return total / len(ranks)


def measure_loops():
    """Return the rows of the part loops, and print how many times faster ours is."""
    given = random_lists()
    best, found = {}, {}
    for _ in range(3):
        for function in (ours, per_result, per_query):
            start = time.perf_counter()
            found[function.__name__] = function(*given)
            passed = time.perf_counter() - start
            best[function.__name__] = min(passed, best.get(function.__name__, passed))
    if not np.allclose(list(found.values()), found["ours"], rtol=1e-9):
        raise InputError("the three disagree: {}".format(found))
    for name in ("per_result", "per_query"):
        print("{}: {:.3f} s, ours {:.3f} s: {:.1f} times".format(name, best[name], best["ours"],
                                                                 best[name] / best["ours"]), flush=True)
    shape = list(given[0].shape)
    return [[name] + shape + [shape[1], best[name], None, found[name]] for name in best]


def measure_large(folder, name, num_queries, depth, num_images=10**6, of_class=100, seed=0):
    """Write a ground truth and rankings, run the command on them and return the row."""
    random, truth = np.random.RandomState(seed), os.path.join(folder, "gt.csv")
    asked = random.randint(num_images // of_class, size=num_queries)
    with open(truth, "w") as stream:
        stream.write("split,path,label\n")
        stream.writelines("query,query/{:08d}.jpg,class {}\n".format(i, label) for i, label in enumerate(asked))
        stream.writelines("gallery,gallery/{:08d}.jpg,class {}\n".format(i, i // of_class) for i in range(num_images))
    path = os.path.join(folder, "R.npy")
    ranks = np.lib.format.open_memmap(path, "w+", np.int32, (num_queries, depth))
    for row, label in enumerate(asked):
        # Half of the class in front; behind it all other images, from a random one on.
        own = np.arange(label * of_class, label * of_class + of_class // 2)
        others = (np.arange(min(depth + len(own), num_images)) + random.randint(num_images)) % num_images
        ranks[row] = np.append(own, others[(others < own[0]) | (others > own[-1])])[:depth]
    ranks.flush()
    del ranks
    result = os.path.join(folder, "out.json")
    done = subprocess.run([sys.executable, "-c", SCRIPT, "--ranks", path, "--ground_truth", truth, "--json", result],
                          check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = done.stdout.split("MEASURED")[1].split()
    return [name, num_queries, num_images, depth, float(seconds), int(peak), files.read_json(result)["mAP"]]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="metrics_speed.csv", help="CSV to write")
    parser.add_argument("--part", choices=["loops", "large"], help="one part; both without it")
    parser.add_argument("--full_queries", type=int, default=100, help="queries ranked to the last image")
    flags = parser.parse_args(argv)
    rows = [] if flags.part == "large" else measure_loops()
    if flags.part != "loops":
        for name, num_queries, depth in (("depth_1000", 10000, 1000), ("full_depth", flags.full_queries, 10**6)):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure_large(folder, name, num_queries, depth))
            print("{}: {} queries, {} images, {} deep: {:.1f} s, peak {} MB, mAP {:.4f}".format(*rows[-1]), flush=True)
    with files.replacing(flags.output) as temporary, open(temporary, "w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS] + rows)
    print("written: " + flags.output)


if __name__ == "__main__":
    main()
