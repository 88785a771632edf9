"""Columns of values as codes, and whether a column gives away what is right: ground truth must not help to rank."""
import numpy as np

UNKNOWN = -1
SAME = 0.9  # a column that agrees with the ground truth this much is taken for it, a few changed values or not
BLOCK = 4096


def codes(values):
    """Return int64 [n]: one number >= 0 for each distinct text in the order of first appearance, -1 for empty text."""
    known = {"": UNKNOWN}
    return np.array([known.setdefault(str(value), len(known) - 1) for value in values], np.int64)


def row_codes(array):
    """Return int64 [n]: equal numbers for equal rows of [n, d], -1 for zeros; vectors may be labels in disguise."""
    known, result = {}, np.empty(len(array), np.int64)
    for start in range(0, len(array), BLOCK):  # in blocks: the array may be memory-mapped
        for i, row in enumerate(np.asarray(array[start:start + BLOCK]), start):
            # Hashes, not the bytes: those of a large gallery would not fit.
            result[i] = known.setdefault(hash(row.tobytes()), len(known)) if row.any() else UNKNOWN
    return result


def agreement(first, second):
    """Return how far two columns join the same images: pairs that both join over pairs that either joins, in [0, 1].

    It is 1 only for the same partition, whatever its parts are called; a coarser or finer column shares fewer pairs.
    Rows that either column does not know (-1) do not count. Columns that join no pair at all agree by 0.

    Args:
      first, second: int [n], codes >= 0 or -1.
    """
    known = (first >= 0) & (second >= 0)
    joint = _pairs(np.stack([first[known], second[known]], axis=1))
    either = _pairs(first[known][:, None]) + _pairs(second[known][:, None]) - joint
    return joint / either if either else 0.0


def agreement_with_truth(column, query_labels, gallery_labels):
    """Return the agreement of a column about the gallery with what is evaluated.

    Only gallery images count whose label some query has: labels of other classes (those trained on) may be known.

    Args:
      column: int [n], codes >= 0 or -1.
      query_labels, gallery_labels: sequences of text, [q] and [n].
    """
    wanted = set(query_labels)
    evaluated = np.array([label in wanted for label in gallery_labels], bool)
    return agreement(column[evaluated], codes(gallery_labels)[evaluated])


def is_truth(share, column):
    """Return whether an agreement of `share` is too much; what has no column was computed, so it may come near to 1."""
    return share >= (SAME if column else 1)


def _pairs(rows):
    """Return the number of pairs of equal rows."""
    counts = np.unique(rows, axis=0, return_counts=True)[1].astype(np.int64) if len(rows) else np.zeros(1, np.int64)
    return int((counts * (counts - 1) // 2).sum())
