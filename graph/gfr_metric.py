"""GFR's first step: a linear map of the features, h = normalise((x - mean) M), and its closed form from labels.

Linear discriminant analysis with shrinkage. With C_w the scatter of the train features around their class means, C_t
the one around the mean, and the strength s:

    V = (C_w + s tr(C_w) / d I)^-1/2          directions in which images of one class differ count less
    M = V R,  R the leading eigenvectors of V C_t V

A small s trusts the scatter that was seen, a large s leaves the features nearly as they are. Both scatters are sums
over the rows, so a memory map is read once, block by block, and every strength comes from the same sums.
Fisher, "The use of multiple measurements in taxonomic problems", 1936; shrinkage as in Friedman, "Regularized
Discriminant Analysis", JASA 1989, equation 18.
"""
import collections

import numpy as np

from slim_retrieval.graph import centring, features

DIMENSIONS = 256  # at most; what follows costs in proportion, and further directions told nothing in our trials
# Entries of M. The map does not depend on its scale, but a step of Adam does: with 0.1, a rate of 1e-3 is 1 percent.
SCALE = 0.1

Metric = collections.namedtuple("Metric", "mean matrix")  # float32 [d], [d, r]; a matrix without entries: M = 1
Sums = collections.namedtuple("Sums", "counts totals products")  # float64 [classes], [classes, d], [d, d]
Moments = collections.namedtuple("Moments", "mean within total")  # float64 [d], [d, d], [d, d]


def apply(metric, rows):
    """Return h of the rows as a new float32 [n, r], unit rows; the rows themselves where `metric` is None."""
    if metric is None:
        return rows
    if metric.matrix.size == 0:
        return centring.apply(rows, metric.mean)
    result = np.empty((len(rows), metric.matrix.shape[1]), np.float32)
    offset = metric.mean @ metric.matrix
    for start, stop in features.blocks(*rows.shape):
        result[start:stop] = rows[start:stop] @ metric.matrix - offset
    return features.normalise_rows(result)


def centring_only(rows):
    """Return the Metric h = normalise(x - mean) where features [n, d] have much in common (centring.py), else None."""
    mean = centring.choose(rows)
    return None if mean is None else Metric(mean, np.zeros((len(mean), 0), np.float32))


def sums(rows, labels, part=None):
    """Return [Sums] of the parts 0, 1, ... of features [n, d], in one pass: a memory map is read once.

    Args:
      rows: float [n, d]; may be memory-mapped.
      labels: int [n], from 0.
      part: int [n], the part of each row; None: all are of part 0.
    """
    n, d = rows.shape
    part = np.zeros(n, int) if part is None else part
    found = [Sums(np.zeros(labels.max() + 1), np.zeros((labels.max() + 1, d)), np.zeros((d, d)))
             for _ in range(part.max() + 1)]
    for start, stop in features.blocks(n, d):
        block, of = np.asarray(rows[start:stop], np.float64), labels[start:stop]
        for number, (counts, totals, products) in enumerate(found):
            kept = part[start:stop] == number
            np.add.at(counts, of[kept], 1)
            np.add.at(totals, of[kept], block[kept])
            products += block[kept].T @ block[kept]
    return found


def moments(*parts):
    """Return the Moments of the rows of all these Sums."""
    counts, totals, products = (sum(values) for values in zip(*parts))
    n = counts.sum()
    mean = totals.sum(axis=0) / n
    between = totals.T @ (totals / np.maximum(counts, 1)[:, None])
    return Moments(mean, (products - between) / n, products / n - np.outer(mean, mean))


def whitenings(found, strengths):
    """Yield V [d, d] of the Moments `found`, float64, for each strength above 0. One decomposition serves them all."""
    values, vectors = np.linalg.eigh(found.within)
    for strength in strengths:
        ridge = strength * max(np.sum(values), 1e-9 * np.trace(found.total)) / len(values)
        yield vectors / np.sqrt(np.maximum(values, 0) + ridge)  # rounding may leave a value below 0


def discriminant(found, strength):
    """Return the Metric of the Moments `found` for a strength above 0."""
    whitening = next(whitenings(found, [strength]))
    _, rotation = np.linalg.eigh(whitening.T @ found.total @ whitening)
    return scaled(found.mean, whitening @ rotation[:, ::-1][:, :DIMENSIONS])


def scaled(mean, matrix):
    """Return the Metric whose matrix has entries of the size SCALE."""
    return Metric(mean.astype(np.float32), (matrix * (SCALE / np.sqrt(np.mean(matrix ** 2)))).astype(np.float32))
