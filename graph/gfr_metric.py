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

from slim_retrieval.graph import features

DIMENSIONS = 256  # at most; what follows costs in proportion, and further directions told nothing in our trials
# Entries of M. The map does not depend on its scale, but a step of Adam does: with 0.1, a rate of 1e-3 is 1 percent.
SCALE = 0.1

Metric = collections.namedtuple("Metric", "mean matrix")  # float32 [d], [d, r]
Moments = collections.namedtuple("Moments", "mean within total")  # float64 [d], [d, d], [d, d]


def apply(metric, rows):
    """Return h of the rows as a new float32 [n, r], unit rows; the rows themselves where `metric` is None."""
    if metric is None:
        return rows
    result = np.empty((len(rows), metric.matrix.shape[1]), np.float32)
    offset = metric.mean @ metric.matrix
    for start, stop in features.blocks(*rows.shape):
        result[start:stop] = rows[start:stop] @ metric.matrix - offset
    return features.normalise_rows(result)


def moments(rows, labels, chosen=None):
    """Return the Moments of features [n, d], which may be memory-mapped.

    Args:
      rows: float [n, d].
      labels: int [n], from 0.
      chosen: bool [n], the rows that count; None: all.
    """
    n, d = rows.shape
    chosen = np.ones(n, bool) if chosen is None else chosen
    sums, products = np.zeros((labels.max() + 1, d)), np.zeros((d, d))
    for start, stop in features.blocks(n, d):
        kept = chosen[start:stop]
        block = np.asarray(rows[start:stop][kept], np.float64)
        np.add.at(sums, labels[start:stop][kept], block)
        products += block.T @ block
    n = np.count_nonzero(chosen)
    counts = np.maximum(np.bincount(labels[chosen], minlength=len(sums)), 1)[:, None]
    mean = sums.sum(axis=0) / n
    return Moments(mean, (products - sums.T @ (sums / counts)) / n, products / n - np.outer(mean, mean))


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
