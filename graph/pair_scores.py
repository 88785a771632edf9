"""Scores of pairs of gallery images from outside, such as counts of geometrically verified matches.

    a,b,score                     a header, then one pair a line; a and b are the gallery's row numbers (from 0),
    shop/1.jpg,shop/7.jpg,34      or paths where the gallery has an index
    .npz with rows, cols, scores  the same by row number

The order within a pair does not matter; of several scores for a pair, in either direction, the largest counts. Pairs of
an image with itself are left out.
"""
import csv
import os
import zipfile

import numpy as np
from scipy.sparse import csgraph

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import symmetric

COLUMNS = ["a", "b", "score"]


def read(path, rows, paths=None):
    """Return (a, b, scores): int64, int64 and float32 [pairs], as the file lists them.

    Args:
      path: a CSV or .npz file.
      rows: number of gallery images.
      paths: their paths, to find those of a CSV file by; or None.

    Raises:
      InputError: a file that is missing or malformed, an image that the gallery lacks, or a score that is negative or
        no finite number; the message names the first line (.npz: the first pair).
    """
    if not os.path.isfile(path):
        raise InputError("side.pair_scores: no file {}; give a CSV (a,b,score) or .npz (rows, cols, scores)".format(
            path))
    return (_read_npz(path, rows) if path.endswith(".npz") else _read_csv(path, rows, paths))


def combine(matrix, pairs, kind, scale=1.0):
    """Return the edges combined with the scores as similarities min(1, score / scale).

    Args:
      matrix: edges, symmetric CSR [n, n].
      pairs: (a, b, scores) from `read`.
      kind: a name in KINDS.
      scale: greater than 0.

    Raises:
      InputError: unknown kind.
    """
    a, b, scores = pairs
    scores = np.minimum(1, scores / scale)
    return lookup(KINDS, kind, "use of pair scores")(matrix, a, b, scores)


def add(matrix, a, b, scores):
    """Pairs become edges of their score; an edge that is there keeps its value if that is larger."""
    return symmetric.larger(matrix, symmetric.from_pairs(a, b, scores, matrix.shape[0]))


def replace(matrix, a, b, scores):
    """Pairs get their score as value, whether or not they were edges; a score of 0 removes the edge."""
    listed, values = _listed(a, b, scores, matrix.shape[0])
    kept = matrix - matrix.multiply(listed)
    kept.eliminate_zeros()
    return (kept + values).tocsr().sorted_indices()


def multiply(matrix, a, b, scores):
    """Edges among the pairs are multiplied by their score; no edge is added, edges not listed stay."""
    listed, values = _listed(a, b, scores, matrix.shape[0])
    kept = matrix - matrix.multiply(listed)
    kept.eliminate_zeros()
    return (kept + matrix.multiply(values)).tocsr().sorted_indices()


KINDS = {"add": add, "replace": replace, "multiply": multiply}


def _listed(a, b, scores, n):
    """Return two CSR [n, n]: 1 for every listed pair, scores of 0 included, and the scores."""
    return symmetric.from_pairs(a, b, np.ones(len(a)), n), symmetric.from_pairs(a, b, scores, n)


def _read_npz(path, rows):
    try:
        with np.load(path, allow_pickle=False) as stored:
            a, b, scores = (np.asarray(stored[name]) for name in ("rows", "cols", "scores"))
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError("side.pair_scores: {} is no .npz file with rows, cols and scores ({})".format(
            path, error)) from error
    if not (a.ndim == 1 and a.shape == b.shape == scores.shape and a.dtype.kind in "iu" and b.dtype.kind in "iu"
            and scores.dtype.kind in "fiu"):
        raise InputError("side.pair_scores: {} has rows {} {}, cols {} {} and scores {} {}; expected one whole number, "
                         "one whole number and one number a pair".format(
                             path, *[part for array in (a, b, scores) for part in (list(array.shape), array.dtype)]))
    a, b, scores = a.astype(np.int64), b.astype(np.int64), scores.astype(np.float64)
    outside = (np.minimum(a, b) < 0) | (np.maximum(a, b) >= rows)
    wrong = np.flatnonzero(outside | (np.where(np.isfinite(scores), scores, -1) < 0))
    if wrong.size:
        first = wrong[0]
        raise InputError("side.pair_scores: {} pair {} is ({}, {}, {}); {}".format(
            path, first, a[first], b[first], scores[first], "the gallery has the rows 0 to {}".format(rows - 1)
            if outside[first] else "scores are finite and at least 0"))
    return a, b, scores.astype(np.float32)


def _read_csv(path, rows, paths):
    places = {} if paths is None else {name: row for row, name in enumerate(paths)}
    a, b, scores = [], [], []
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv_columns.rows(stream, strict=True)
            header = next(reader, [])
            if header != COLUMNS:
                raise InputError("side.pair_scores: {} line 1 is {}; expected {}".format(
                    path, ",".join(header) or "empty", ",".join(COLUMNS)))
            for row in reader:
                if row:
                    where = "side.pair_scores: {} line {}".format(path, reader.line_num)
                    if len(row) != 3:
                        raise InputError("{}: {} values; expected {}".format(where, len(row), ",".join(COLUMNS)))
                    a.append(_row(row[0], rows, places, where))
                    b.append(_row(row[1], rows, places, where))
                    scores.append(_score(row[2], where))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError("side.pair_scores: {} is no CSV file in UTF-8: {}".format(path, error)) from error
    return np.array(a, np.int64), np.array(b, np.int64), np.array(scores, np.float32)


def _row(text, rows, places, where):
    """Return the gallery row that a path or a row number names."""
    if text in places:
        return places[text]
    if text.isdigit() and int(text) < rows:
        return int(text)
    raise InputError("{}: {!r} is no row number from 0 to {}{}".format(
        where, text, rows - 1, " and no path in the gallery's index" if places else
        "; paths need the gallery's index (a run, or --side_columns with a column path)"))


def _score(text, where):
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or value < 0:
        raise InputError("{}: the score {!r} is not a finite number of at least 0".format(where, text))
    return value


def groups(pairs, rows):
    """Return int64 [rows]: equal numbers for images that scores above 0 join, directly or through others."""
    a, b, scores = pairs
    joined = symmetric.from_pairs(a, b, scores, rows)
    return csgraph.connected_components(joined, directed=False)[1].astype(np.int64)
