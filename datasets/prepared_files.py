"""What `prepare` writes: lists, TFRecord shards, and the safety around them.

    <output>/{train,validation,query,gallery}.csv     path and the other columns, absolute paths (datasets/csv_list.py)
    <output>/train-00000-of-00003.tfrecord, ...       with --tfrecord, and labels.txt: number:name, as slim has it
    <output>/config.yaml                              for the four scripts; config.yaml.old: the one before, if edited
    <output>/report.json, report.txt                  what was found
    <output>/checked.npz                              what is known of each image (datasets/check_cache.py)

report.json names the data set: a folder without it is not ours, and one of another data set neither. It comes first, as
incomplete, and again last.
"""
import csv
import glob
import io
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import digest, make_folder, read_json, remove, write_text
from slim_retrieval.datasets.splits import SPLITS
from slim_retrieval.datasets.tfrecord import write_tfrecord

REPORT, CACHE = "report.json", "checked.npz"
MADE_BY = "slim_retrieval.datasets.prepare"
OURS = [split + ".csv" for split in SPLITS] + ["config.yaml", "report.txt", "labels.txt"]
_SHARDS = "*-of-*.tfrecord"


def make_output(output, path):
    """Make the folder; refuse to write over files that are not of an earlier run on the same data set.

    Raises:
      InputError: the folder cannot be made or written to, holds files of one of our names that were not written by us,
        or was made from another data set.
    """
    make_folder(output)
    report = os.path.join(output, REPORT)
    if os.path.exists(report):
        made = read_json(report)
        made = made if isinstance(made, dict) else {}
        if made.get("made_by") != MADE_BY or made.get("path") != os.path.abspath(path):
            raise InputError("{} was made from {}, not from {}; give another --output or delete it".format(
                output, made.get("path", "something else"), path))
    else:
        there = [name for name in OURS if os.path.exists(os.path.join(output, name))]
        if there:
            raise InputError("{} is there and was not written by this command; give another --output".format(
                os.path.join(output, there[0])))


def keep_edited(output):
    """Rename a config.yaml that is not as it was written, to config.yaml.old; return whether there was one."""
    config, report = os.path.join(output, "config.yaml"), os.path.join(output, REPORT)
    if not (os.path.isfile(config) and os.path.isfile(report)):
        return False
    with open(config, encoding="utf-8", errors="replace") as stream:
        edited = read_json(report).get("config_digest") not in (None, digest(stream.read()))
    if edited:
        os.replace(config, config + ".old")
    return edited


def write_lists(output, tables):
    """Write a CSV for each split and remove those of splits that are no more."""
    for split in SPLITS:
        path = os.path.join(output, split + ".csv")
        if split in tables:
            write_text(path, list_text(tables[split]))
        else:
            remove(path)


def list_text(table):
    """Return an ImageTable's paths and columns as CSV: path, label, then the others by name."""
    names = [name for name in ["label"] if name in table.columns] + sorted(set(table.columns) - {"label"})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path"] + names)
    writer.writerows(zip(table.paths, *[table.columns[name] for name in names]))
    return stream.getvalue()


def write_shards(output, tables, images_per_shard):
    """Write each split as TFRecord shards that share the classes' numbers, and labels.txt; old shards are removed."""
    labels = sorted({label for table in tables.values() for label in table.columns["label"]})
    written = set()
    for split, table in tables.items():
        count = -(-len(table) // images_per_shard)
        for number in range(count):
            path = os.path.join(output, "{}-{:05d}-of-{:05d}.tfrecord".format(split, number, count))
            rows = range(number * images_per_shard, min((number + 1) * images_per_shard, len(table)))
            write_tfrecord(table.subset(rows), path, labels, keep_files=True)
            written.add(path)
    write_text(os.path.join(output, "labels.txt"), "".join("{}:{}\n".format(i, name) for i, name in enumerate(labels)))
    remove_shards(output, written)


def remove_shards(output, kept=()):
    """Remove the shards of an earlier run."""
    for path in glob.glob(os.path.join(glob.escape(output), _SHARDS)):
        if path not in kept:
            remove(path)
    if not kept:
        remove(os.path.join(output, "labels.txt"))
