"""Choose a method's settings on labelled validation images, or on pairs that are known to match; never on queries.

    python tune.py --method cfa --run shoes
    python tune.py --method cfa --features V.npy --labels V.csv
    python tune.py --method cfa --features G.npy --pairs pairs.csv

Prints each candidate's score and writes a configuration with the best, for retrieve.py --config. Each image is ranked
against all others, itself left out. With labels a query's score is its average precision; with pairs (CSV, columns a
and b: row numbers, b matches a) it is -log2 of the place of the other. The best mean wins, the default among equals,
but only among those that are ahead of plain search (the method none) by more than SURE standard errors of that lead:
fifty pairs leave much to chance, and a method that cannot be shown to help is not worth its risk.
"""
import json
import os

import numpy as np

from slim_retrieval.common import csv_columns, runs
from slim_retrieval.common.config import build_parser, parse, resolve, to_plain
from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.evaluation import average_precision, relevance
from slim_retrieval.graph import knn, methods, ranking, sources
from slim_retrieval.graph.candidates import CANDIDATES

SURE = 1.5  # with 50 pairs on 20 sets, 8 draws each: 2 choices of 160 end below plain search at 1, none at 1.25 to 2


@command
def main(argv=None):
    """Run the command line `argv` (default: sys.argv)."""
    parser = build_parser(__doc__)
    parser.add_argument("--run", metavar="NAME", help="run whose validation split is used")
    parser.add_argument("--method", required=True, help="one of " + ", ".join(sorted(CANDIDATES)))
    parser.add_argument("--output", metavar="FILE.yaml", help="configuration to write (default: "
                        "tuned_<method>.yaml here)")
    parser.add_argument("--features", metavar="F.npy", help="validation images, or with --pairs any gallery")
    parser.add_argument("--labels", metavar="L.csv", help="their labels: CSV (column label) or .npy")
    parser.add_argument("--pairs", metavar="P.csv", help="matching pairs: columns a and b, row numbers from 0")
    flags, overrides = parse(parser, argv)
    candidates = lookup(CANDIDATES, flags.method, "method that can be tuned")
    config, source = _read(flags, overrides)
    queries, score = _scorer(flags, source)
    plain = to_plain(config)
    best = choose(flags.method, plain[flags.method], candidates, source.features, queries, score, config.run.seed)
    if best is None:
        print("use: --method none; nothing is ahead of it by more than chance")
        return
    path = flags.output or "tuned_{}.yaml".format(flags.method)
    runs.write_config(path, dict(plain, **{flags.method: dict(plain[flags.method], **best)}))
    settings = ["--{}.{} '{}'".format(flags.method, name, json.dumps(value)) for name, value in best.items()]
    print("use: --method {} --config {}   ({})".format(flags.method, path, " ".join(settings) or "the default"))


def choose(method, section, candidates, features, queries, score, seed):
    """Return the best candidate, a dict of settings, or None where none is ahead of plain search; print all scores.

    Args:
      method: name in methods.METHODS.
      section: its settings, which each candidate is laid over.
      candidates: list of dicts; the first wins among equals.
      features: float32 [n, d], rows L2-normalised.
      queries: int [q], rows that are ranked against all others.
      score: function (ranking int32 [q, depth]) -> float [any], larger is better, NaN where a query does not count.
      seed: of methods that have one.
    """
    depth = min(len(features) - 1, ranking.default_depth(len(features)))
    near = knn.neighbors(features, depth)
    plain = score(near[0][queries])
    print("  {:44s} {:.4f}".format("plain search", np.nanmean(plain)))
    leads = []
    for candidate in candidates:
        estimator = methods.METHODS[method](dict(section, **candidate), seed).fit(features, neighbors=near)
        values = score(ranking.rank_gallery(estimator, features, depth)[queries])
        leads.append(lead(values, plain))
        print("  {:44s} {:.4f}  ahead of plain search by {:+.4f} +- {:.4f}".format(
            json.dumps(candidate)[1:-1] or "default", np.nanmean(values), *leads[-1]), flush=True)
    best = pick(leads)
    return None if best is None else candidates[best]


def lead(values, plain):
    """Return (mean, standard error) of values - plain over the queries that count, both float [q]."""
    ahead = (values - plain)[~np.isnan(plain)]
    return ahead.mean(), ahead.std() / np.sqrt(len(ahead))


def pick(leads):
    """Return the number of the largest lead, the first among equals, or None where none is SURE errors large."""
    sure = [number for number, (mean, error) in enumerate(leads) if mean > SURE * error]
    return max(sure, key=lambda number: leads[number][0]) if sure else None


def score_labels(labels):
    """Return (queries, score) for labels, [n]: average precision of every image against all others."""
    codes = np.unique(labels, return_inverse=True)[1]
    ids = np.arange(len(codes))
    judged = relevance.from_labels(codes, codes, ids, ids)
    if not (judged.num_positives > 0).any():
        raise InputError("none of the {} labels stands twice; tuning needs images that match".format(len(codes)))

    def score(ranks):
        hits, junk = judged.judge(ids, ranks)
        return average_precision.step(hits, judged.num_positives, junk)

    return ids, score


def score_pairs(pairs):
    """Return (queries, score) for pairs, int [p, 2]: -log2 of the places of b for a and of a for b, their mean."""
    def score(ranks):
        found = ranks == np.concatenate([pairs[:, 1:], pairs[:, :1]])
        places = np.where(found.any(axis=1), np.argmax(found, axis=1), ranks.shape[1])  # absent: behind the last
        return -np.log2(1.0 + places).reshape(2, len(pairs)).mean(axis=0)

    return np.concatenate([pairs[:, 0], pairs[:, 1]]), score


def read_pairs(path, num_rows):
    """Return int [p, 2] from a CSV file with the columns a and b.

    Raises:
      InputError: no file or column, no pair, a number that is no row of the features, or a pair of one row.
    """
    columns = csv_columns.read(path, ["a", "b"], "give a CSV file of pairs, with the columns a and b")
    rows = list(zip(columns["a"], columns["b"]))
    for number, (a, b) in enumerate(rows, 1):
        if not (a.isdigit() and b.isdigit() and a != b and max(int(a), int(b)) < num_rows):
            raise InputError("{}: pair {}: {!r} and {!r} are not two different rows from 0 to {}".format(
                path, number, a, b, num_rows - 1))
    if not rows:
        raise InputError("{}: no pairs; give at least one, some fifty are useful".format(path))
    return np.array(rows, dtype=np.int64)


def _read(flags, overrides):
    """Return (configuration, Source of the validation images)."""
    if bool(flags.labels) == bool(flags.pairs) and flags.features:
        raise InputError("--features needs one of --labels and --pairs")
    if flags.features:
        if flags.labels:
            _refuse_evaluated(flags.features)
        return resolve(flags.config, overrides), sources.from_file(flags.features, "validation", flags.labels)
    run = runs.find(flags.run, overrides.get("run.directory", "runs"))
    config = resolve(flags.config or runs.config_path(run), overrides)
    return config, sources.from_run(run, "validation", labels=True)


def _refuse_evaluated(path):
    """Refuse the query and gallery features of a run: their labels are what results are scored by."""
    split = os.path.basename(os.path.dirname(os.path.abspath(path)))
    if split in ("query", "gallery") and os.path.isfile(os.path.join(os.path.dirname(path), "meta.json")):
        raise InputError("{} are the {} features of a run, and settings are not chosen on what is evaluated; give "
                         "--run with a validation split, or known pairs with --pairs".format(path, split))


def _scorer(flags, source):
    if flags.pairs:
        return score_pairs(read_pairs(flags.pairs, len(source.features)))
    return score_labels(source.labels)


if __name__ == "__main__":
    main()
