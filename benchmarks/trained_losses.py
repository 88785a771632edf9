"""What each loss makes of the same network, data and steps, beside raw pixels and the untrained network.

    python benchmarks/trained_losses.py --set emoji                      # 21 runs; the table is printed at the end
    python benchmarks/trained_losses.py --set emoji --only nt_xent arcface --seeds 0 1 --training.steps 100
    python benchmarks/trained_losses.py --set fashion
    python benchmarks/trained_losses.py --set emoji --table              # of what is there; nothing runs

Each run is the scripts' own: training, extraction, cosine. When done it appends a row to the CSV (--output), and it is
skipped where its row is there: stop at any time, the same command goes on, within a run from its last checkpoint.
A row counts for the settings that it was made with (their digest is in it). To choose settings, --validation trains on
fit.csv and searches the validation emoji. Processor seconds are those of training, all threads together (of a run that
was interrupted, of its last part).
"""
import csv
import io
import json
import os
import time

import numpy as np
from raw_pixels import raw_pixels, score

from slim_retrieval.commands import extract_features, train_multi_gpu
from slim_retrieval.common import config as configuration
from slim_retrieval.common import feature_store, files
from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.losses.registry import LOSSES

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RAW, UNTRAINED = "raw_pixels", "untrained"
COLUMNS = ["set", "loss", "seed", "settings", "steps", "mAP", "MRR", "recall@1", "processor_seconds"]

# Two drawings of each of 64 emoji in a batch: what compares within the batch learns from the first step on; what has
# vectors of classes meets each of 1,250 only eight times in 150 steps.
PAIRS = ["nt_xent", "multi_similarity", "n_pairs", "circle", "triplet_batch_hard", "lifted_structure", "proxy_anchor"]
# Chosen on the validation emoji, as what the configurations give to their own losses; all others have their defaults.
OPTIONS = {("emoji", "nt_xent"): {"temperature": 0.05}}
EQUAL = {"data.crop_padding": "1", "training.steps": "150", "training.schedule.decay_steps": "150"}
# A small part of the demo: half the width, few steps, 500 test images search 2,000.
SHORT = {"model.depth_multiplier": "0.5", "training.steps": "150", "training.schedule.decay_steps": "150",
         "training.images_per_class": "5", "training.optimizer": "adam", "training.schedule.learning_rate": "0.002",
         "data.query.part": "[0, 0.05]", "data.gallery.part": "[0.05, 0.25]", "data.validation.source": ""}
# Name: (configuration, overrides, metric to sort by, losses, seeds).
SETS = {"emoji": ("emoji.yaml", EQUAL, "MRR", PAIRS, 3),
        "emoji_full": ("emoji.yaml", {}, "MRR", ["triplet_batch_hard"], 3),
        "emoji_pretrained": ("emoji_pretrained.yaml", {}, "MRR", PAIRS[:4], 3),
        "fashion": ("fashion_mnist.yaml", SHORT, "mAP", sorted(LOSSES), 1)}
VALIDATION = {"data.train.source": "fit.csv", "data.query.source": "validation_query.csv",
              "data.gallery.source": "validation_gallery.csv"}


@command
def main(argv=None):
    flags, overrides = configuration.parse(_parser(), argv)
    name, _, metric, losses, seeds = (flags.set,) + lookup(SETS, flags.set, "set")[1:]
    if flags.validation and name == "fashion":
        raise InputError("--validation is for the emoji sets; fashion chooses nothing")
    if flags.validation:
        overrides = dict(VALIDATION, **overrides)
    path = flags.output or "trained_losses_{}.csv".format(name)
    seeds = flags.seeds or list(range(seeds))
    wanted = [(loss, seed) for seed in seeds for loss in flags.only or [RAW, UNTRAINED] + losses
              if loss != RAW or seed == seeds[0]]
    settings = [_settings(name, loss, seed, overrides) for loss, seed in wanted]  # a mistake is told before any work
    rows = []
    for number, ((loss, seed), (config, digest)) in enumerate(zip(wanted, settings)):
        done = find(path, name, loss, seed, digest)
        if done is None and not flags.table:
            done = run_one(config, loss, os.path.join(flags.runs, "{}_{}_{}".format(loss, seed, digest)))
            done = dict(done, set=name, loss=loss, seed=seed, settings=digest)
            append(path, done)
        if done:
            rows.append(done)
            print("{}/{} {} seed {}: {} {:.4f}".format(number + 1, len(wanted), loss, seed, metric,
                                                       float(done[metric])), flush=True)
    print(table(rows, metric))


def _parser():
    parser = configuration.build_parser(__doc__)
    parser.add_argument("--set", required=True, help=", ".join(SETS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="losses, {}, {}; default: those of the set".format(
                        RAW, UNTRAINED))
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="default: those of the set")
    parser.add_argument("--output", metavar="FILE", help="CSV of finished runs (default: trained_losses_<set>.csv)")
    parser.add_argument("--runs", default="runs/losses", metavar="DIR", help="folder of unfinished runs")
    parser.add_argument("--validation", action="store_true", help="emoji: train on fit.csv, search validation_*.csv")
    parser.add_argument("--table", action="store_true", help="print what is there; run nothing")
    return parser


def _settings(name, loss, seed, overrides):
    """Return (configuration of one run as plain dicts, digest of what shapes its result)."""
    file, own = SETS[name][:2]
    overrides = dict(own, **overrides)
    overrides["run.seed"] = str(seed)
    path = os.path.join(ROOT, "configs", file)
    if loss in (RAW, UNTRAINED):  # the rate is 0; some steps, so that the averages of batch norm are those of images
        overrides.update({"training.steps": "60", "training.schedule.learning_rate": "0", "model.embedding_size": "0"})
    else:
        lookup(LOSSES, loss, "loss")
        given = {spec["name"]: spec for spec in configuration.to_plain(configuration.resolve(path))["losses"]}
        options = OPTIONS.get((name, loss)) or given.get(loss, {}).get("options", {})
        overrides["losses"] = json.dumps([{"name": loss, "options": options}])
    plain = configuration.to_plain(configuration.resolve(path, overrides))
    default = configuration.to_plain(configuration.resolve())
    parts = {part: changed(plain[part], default[part]) for part in ("data", "model", "training")}
    return plain, files.digest(parts if loss != RAW else [parts["data"], plain["model"]["image_size"]],
                               [[spec["name"], spec["options"]] for spec in plain["losses"] if loss in LOSSES])


def changed(value, default):
    """Return what differs from the defaults, so that a field that is new to the schema leaves old rows valid."""
    if not isinstance(value, dict):
        return value
    return {key: changed(value[key], default.get(key)) for key in value if value[key] != default.get(key)}


def run_one(options, loss, run):
    """Train, extract and score; return {column: value}. The run's folder is deleted in the end."""
    if loss == RAW:
        return _row(raw_pixels(options), 0, 0.0)
    os.makedirs(run, exist_ok=True)
    config = os.path.join(run + ".yaml")
    files.write_yaml(config, dict(options, run=dict(options["run"], name=os.path.basename(run),
                                                    directory=os.path.dirname(run))))
    started = time.process_time()
    train_multi_gpu.main(["--config", config])
    seconds = time.process_time() - started
    extract_features.main(["--run", run, "--extraction.splits", "[query, gallery]"])
    folders = {split: os.path.join(run, "features", split) for split in ("query", "gallery")}
    result = score({split: np.load(os.path.join(folder, "features.npy")) for split, folder in folders.items()},
                   {split: feature_store.read_index(os.path.join(folder, "index.csv"))["label"]
                    for split, folder in folders.items()})
    files.remove(run)
    files.remove(config)
    return _row(result, options["training"]["steps"], seconds)


def _row(result, steps, seconds):
    return {"steps": steps, "mAP": result["mAP"], "MRR": result["mean_reciprocal_rank"],
            "recall@1": result["recall_at_1"], "processor_seconds": round(seconds, 1)}


def find(path, name, loss, seed, digest):
    """Return the row of a finished run, or None."""
    if os.path.isfile(path):
        with open(path, newline="") as stream:
            for row in csv.DictReader(stream):
                if [row.get(key) for key in COLUMNS[:4]] == [name, loss, str(seed), digest]:
                    return row
    return None


def append(path, row):
    """Add a row to the CSV, in one piece: several processes may share it."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    if not os.path.isfile(path):
        writer.writeheader()
    writer.writerow(row)
    with open(path, "a") as file:
        file.write(stream.getvalue())


def table(rows, metric):
    """Return the losses as a Markdown table, best first: mean and sample deviation over the seeds."""
    if not rows:
        raise InputError("no run of these settings is there; leave out --table")
    lines = []
    for loss in {row["loss"]: None for row in rows}:
        mine = [row for row in rows if row["loss"] == loss]
        values, first = ([float(row[key]) for row in mine] for key in (metric, "recall@1"))
        seconds = np.mean([float(row["processor_seconds"]) for row in mine])
        lines.append((np.mean(values), "| {} | {} | {} | {} | {} | {:.0f} |".format(
            loss, spread(values), spread(first), len(mine), mine[0]["steps"], seconds)))
    head = "| loss | {} | Recall@1 | seeds | steps | processor seconds |\n| --- | --- | --- | --- | --- | --- |".format(
        metric)
    return "\n".join([head] + [line for _, line in sorted(lines, reverse=True)])


def spread(values):
    """Return mean and, of several values, sample standard deviation as text."""
    return "{:.3f}".format(np.mean(values)) + (
        " ± {:.3f}".format(np.std(values, ddof=1)) if len(values) > 1 else "")


if __name__ == "__main__":
    main()
