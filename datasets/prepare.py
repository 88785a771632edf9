"""Make any set of images ready: python -m slim_retrieval.datasets.prepare PATH

PATH is a folder with one folder per class, a flat folder, a CSV or TSV list, a consumer-to-shop tree, or one of the
benchmarks (docs/datasets.md has them all). Every image is looked at once; what cannot be read is left out and listed.
Lists, a configuration and a report go to prepared/<name>, and the commands to type next are printed. The images
themselves are never touched; the same command again is quick and gives the same files.
"""
import contextlib
import os
import re
import shlex

import numpy as np

from slim_retrieval.common import config as configuration
from slim_retrieval.common import runs
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import digest, remove, write_json, write_text
from slim_retrieval.common.logs import start_logging
from slim_retrieval.datasets import findings, prepared_config, prepared_files, summary
from slim_retrieval.datasets.arrange import arrange, check_labels, check_wishes
from slim_retrieval.datasets.check_cache import CheckCache
from slim_retrieval.datasets.checks import check_files, check_images
from slim_retrieval.datasets.found import WHOLE
from slim_retrieval.datasets.layouts import OPTIONS, read_layout
from slim_retrieval.datasets.pool import keep, labels_of, make_pool
from slim_retrieval.datasets.prepare_flags import parse
from slim_retrieval.datasets.splits import SPLITS

TINY = 4  # images of a class; fewer repeat in every group of the sampler


@command
def main(argv=None):
    """Look at the images, write what the four scripts need, say what was found and what to type next."""
    flags = parse(argv, __doc__.split("\n\n")[1])
    start_logging()
    path = os.path.expanduser(flags.path)
    name = flags.name or _plain(os.path.splitext(os.path.basename(os.path.abspath(path)))[0]
                               if os.path.isfile(path) else os.path.basename(os.path.abspath(path)))
    if name != _plain(name) or name == "latest":
        raise InputError("--name {}: it cannot name a run; give a plain word".format(name))
    output = os.path.abspath(os.path.expanduser(flags.output or os.path.join("prepared", name)))
    like = runs.find(flags.like) if flags.like else ""
    prepared_files.make_output(output, path)
    try:
        report, commands = prepare(path, name, output, flags, like)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(output)  # goes only when it is empty: nothing came of it
    print("\n".join(summary.lines_of(report)))
    print("\nwritten to {}\nnext:\n\n    {}\n".format(output, "\n    ".join(commands)))


def _plain(text):
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "images"


def prepare(path, name, output, flags, like=""):
    """Do everything but print; return (the dict of report.json, the commands to type next)."""
    options = {option: getattr(flags, option) for option in OPTIONS}
    layout, found = read_layout(path, flags.layout, seed=flags.seed, **options)
    found = found._replace(protocol="") if flags.unlabelled else found
    shares = dict(zip(SPLITS, flags.shares))
    check_wishes(found, flags.split, shares, flags.validation, flags.tfrecord, flags.drop_leaks)
    pool = make_pool(found.splits)
    if not flags.unlabelled and (WHOLE in pool.rows or flags.split):
        check_labels(labels_of(pool.table))  # before the long look at the images
    checked = _check(pool.table, output, flags, found.reader == "csv")
    readable = np.array([not problem for problem in checked.problems])
    if not readable.any():
        raise InputError("none of the {:,} images of {} can be read, e.g. {}: {}".format(
            len(readable), path, pool.table.paths[0], checked.problems[0]))
    codes = np.arange(len(readable)) if flags.no_checks else findings.twin_codes(checked.pixels)
    pool = keep(pool, dict.fromkeys(pool.rows, readable))
    pool, how = arrange(pool, found, readable, codes, flags.split, shares, flags.validation, flags.seed,
                        flags.unlabelled)
    pool, leaks = _leaks(pool, checked, codes, flags)
    pool = pool._replace(rows={split: pool.rows[split] for split in SPLITS if len(pool.rows.get(split, []))})
    report = _report(path, layout, found, pool, checked, codes, leaks, how, flags)
    return report, _write(path, name, output, found, pool, report, flags, like)


def _check(table, output, flags, has_files):
    """Return the `Checked` of all images, from the cache as far as it goes."""
    if not has_files:  # inside larger files: quick, and no file of their own to know them by
        return check_images(table, flags.workers)
    if flags.no_checks:
        return check_files(table)
    cache = CheckCache(os.path.join(output, prepared_files.CACHE), table)
    return check_images(table, flags.workers, cache.load(), cache.save)


def _leaks(pool, checked, codes, flags):
    """Return (pool, what to say of pictures in two splits); with --drop_leaks they leave the first of the two."""
    if flags.no_checks:
        return pool, None
    leaks, leaky = findings.find_leaks(pool, codes, checked.thumbs)
    before = sum(map(len, pool.rows.values()))
    if flags.drop_leaks:
        pool = keep(pool, {split: ~mask for split, mask in leaky.items()})
    return pool, dict(leaks, left_out=before - sum(map(len, pool.rows.values()))) if leaks else None


def _report(path, layout, found, pool, checked, codes, leaks, how, flags):
    """Return what report.json holds."""
    rows = np.unique(np.concatenate(list(pool.rows.values())))
    trained = rows if WHOLE in found.splits else np.unique(pool.rows.get("train", rows[:0]))
    known = pool.table.columns.get("label")
    labels = [known[row] for row in trained] if known else []
    sides = checked.sizes[rows].max(axis=1)
    query, gallery = pool.tables.get("query"), pool.tables.get("gallery")
    return {
        "made_by": prepared_files.MADE_BY, "path": os.path.abspath(path), "layout": layout, "images": len(rows),
        "protocol": found.protocol, "seed": flags.seed, "how_split": how, "notes": found.notes,
        "checked": not flags.no_checks,
        "side": [int(sides.min()), float(np.median(sides)), int(sides.max())] if sides.any() else None,
        "splits": {split: {"images": len(some), "classes": len(set(labels_of(pool.tables[split])) - {""})}
                   for split, some in pool.rows.items()},
        "unreadable": [{"path": printable(path), "reason": problem}
                       for path, problem in zip(pool.table.paths, checked.problems) if problem],
        "duplicates": None if flags.no_checks else findings.find_duplicates(pool.table, codes, rows),
        "leaks": leaks, "tiny_classes": findings.find_tiny_classes(labels, TINY) if labels else None,
        "tiny_classes_of": "all" if WHOLE in found.splits else "train",
        "queries_without_match": findings.find_unanswerable(query, gallery)
        if found.protocol and not found.ground_truth and query and gallery else 0,
    }


def printable(path):
    """Return a path as text that can be printed and written: bytes that are not UTF-8 become escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _write(path, name, output, found, pool, report, flags, like):
    """Write all files; return the commands to type next.

    While lists of two runs may lie side by side there is no configuration to read them by.
    """
    report_path, config_path = (os.path.join(output, name) for name in (prepared_files.REPORT, "config.yaml"))
    if prepared_files.keep_edited(output):
        report["notes"] = report["notes"] + ["config.yaml had been edited: that one is now config.yaml.old"]
    write_json(report_path, {"made_by": prepared_files.MADE_BY, "path": report["path"], "complete": False})
    remove(config_path)
    tables = {split: pool.tables[split] for split in pool.rows}
    has_lists = found.reader == "csv" and not flags.tfrecord
    prepared_files.write_lists(output, tables if has_lists else {})
    if flags.tfrecord:
        prepared_files.write_shards(output, tables, flags.images_per_shard)
    else:
        prepared_files.remove_shards(output)
    for file, text in found.files.items():
        write_text(os.path.join(output, file), text)
    model = configuration.to_plain(configuration.resolve(runs.config_path(like))) if like else None
    config = prepared_config.make_config(name, path, output, found, tables, flags.seed, flags.tfrecord,
                                         report["side"][1] if report["side"] else None, model)
    typed = "python -m slim_retrieval.datasets.prepare " + " ".join(map(shlex.quote, flags.typed))
    lines = summary.lines_of(report)
    text = prepared_config.config_text(config, lines[0], typed)
    write_text(config_path, text)
    write_text(os.path.join(output, "report.txt"), "\n".join(lines) + "\n")
    write_json(report_path, dict(report, command=typed, config_digest=digest(text), complete=True))
    return prepared_config.next_commands(config, _short(output), like, typed)


def _short(path):
    inside = os.path.relpath(path)
    return path if inside.startswith(os.pardir) else inside


if __name__ == "__main__":
    main()
