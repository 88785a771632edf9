"""Protocols: read what is right for each query. `PROTOCOLS` maps a protocol's name to its reader.

A reader takes the path given by --ground_truth (or a run's features folder) and returns a `GroundTruth`.
"""
import csv
import os
from typing import List, NamedTuple

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.evaluation import relevance as relevances


class Index(NamedTuple):
    """The images of one split: path and label of each row, in the rows' order."""
    paths: List[str]
    labels: List[str]


class GroundTruth(NamedTuple):
    """Queries, gallery, what is right, and the rule in words, such as "same label"."""
    query: Index
    gallery: Index
    relevance: relevances.Relevance
    rule: str


def read(protocol, path):
    """Return the `GroundTruth` at `path` under a protocol named in `PROTOCOLS`.

    Raises:
      InputError: unknown protocol, or files that are missing or malformed; the message is one line.
    """
    return lookup(PROTOCOLS, protocol, "protocol")(path)


def read_classes(path):
    """Protocol `classes`: a gallery image is right when it has the query's label.

    Args:
      path: a CSV file with the columns split (query or gallery), path and label, in row order; or a folder that holds
        query/index.csv and gallery/index.csv (a run's features folder), or query.csv and gallery.csv, with path and
        label. Other columns are ignored.
    """
    if os.path.isdir(path):
        return classes(*[read_index(_index_file(path, split)) for split in ("query", "gallery")])
    rows = _read_rows(path, ["split", "path", "label"])
    for i, (split, _, _) in enumerate(rows):
        if split not in ("query", "gallery"):
            raise InputError("{} row {}: split is {!r}; it must be query or gallery".format(path, i + 1, split))
    found = [Index([p for s, p, _ in rows if s == split], [label for s, _, label in rows if s == split])
             for split in ("query", "gallery")]
    for split, index in zip(("query", "gallery"), found):
        if not index.paths:
            raise InputError("{} has no row whose split is {}; both query and gallery are needed".format(path, split))
    return classes(*found)


PROTOCOLS = {"classes": read_classes}


def classes(query, gallery):
    """Return the `GroundTruth` "same label" of two indexes; equal paths are the same image, which is junk."""
    labels, images = _codes(query.labels, gallery.labels), _codes(query.paths, gallery.paths)
    own = int(np.isin(images[0], images[1]).sum())
    rule = "same label"
    if own:
        rule += ", the query's own image being junk (in the gallery for {:,} of {:,} queries)".format(
            own, len(query.paths))
    return GroundTruth(query, gallery, relevances.from_labels(labels[0], labels[1], images[0], images[1]), rule)


def read_index(path):
    """Return the `Index` of a CSV file with the columns path and label."""
    rows = _read_rows(path, ["path", "label"])
    return Index([row[0] for row in rows], [row[1] for row in rows])


def take(index, rows):
    """Return the `Index` of some rows, in the order given."""
    return Index([index.paths[i] for i in rows], [index.labels[i] for i in rows])


def _index_file(folder, split):
    candidates = [os.path.join(folder, split, "index.csv"), os.path.join(folder, split + ".csv")]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise InputError("ground truth {} holds neither {}/index.csv nor {}.csv".format(folder, split, split))


def _read_rows(path, columns):
    """Return the named columns of a CSV file as a list of tuples; no value may be empty."""
    if not os.path.isfile(path):
        raise InputError("no ground truth {}; give a CSV file or a folder with --ground_truth".format(path))
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return _parse(csv.reader(stream, strict=True), columns, path)
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8; save it again as UTF-8".format(path)) from error
    except csv.Error as error:
        raise InputError("{} is not valid CSV: {}".format(path, error)) from error


def _parse(reader, columns, path):
    header = next(reader, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError("{} lacks the column {}; its first line has: {}".format(
            path, ", ".join(missing), ", ".join(header) or "nothing"))
    places = [header.index(name) for name in columns]
    rows = []
    for row in reader:
        if not row:  # an empty line
            continue
        if len(row) != len(header):
            raise InputError("{} line {}: {} values for {} columns; put values that hold a comma in double "
                             "quotes".format(path, reader.line_num, len(row), len(header)))
        values = tuple(row[i] for i in places)
        if "" in values:
            raise InputError("{} line {}: {} is empty; every image needs one".format(
                path, reader.line_num, columns[values.index("")]))
        rows.append(values)
    if not rows:
        raise InputError("{} has a header and no rows; the ground truth needs at least one".format(path))
    return rows


def _codes(first, second):
    """Return two int64 arrays of codes >= 0; equal strings, equal codes."""
    known = {}
    return [np.array([known.setdefault(value, len(known)) for value in values], np.int64) for values in (first, second)]
