"""Whitening of features: fitted on one set, applied to others. NumPy alone.

PCA whitening: Jegou and Chum, ECCV 2012. Lw, learned from labels: Mikolajczyk and Matas, ICCV 2007, as used by
Radenovic et al., TPAMI 2018, section 3.4. x -> P^T (x - mean), then normalised.
"""
import numpy as np

from slim_retrieval.common.errors import InputError

ROWS = 4096  # at a time: features may be larger than memory
SMALLEST = 1e-7  # directions whose variance is below this share of the largest one's are nothing but rounding


def apply_whitening(features, mean, projection):
    """Return float32 [n, k], not normalised, of `features` [n, d]; rows are normalised first, as they were fitted."""
    rows = features / np.maximum(np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True), 1e-12)
    return ((rows - mean).dot(projection)).astype(np.float32)


def fit_pca(features, labels=None, dimension=0, shrinkage=0.0):
    """Return (mean [d], projection [d, k], variances [k]) of PCA whitening; `labels` are not looked at.

    Args:
      features: float [n, d], rows normalised.
      dimension: k, the directions of largest variance; 0: all that vary.
      shrinkage: s in (1 - s) C + s tr(C) / d I, C being the covariance: 0 trusts it, 1 does not whiten at all.

    Raises:
      InputError: fewer directions vary than `dimension`.
    """
    mean = _mean(features)
    covariance = _scatter(features, lambda start, stop: mean) / len(features)
    values, vectors = _largest(_shrunk(covariance, shrinkage), dimension)
    return mean, vectors / np.sqrt(values), values


def fit_lw(features, labels, dimension=0, shrinkage=0.0):
    """Return (mean, projection, ratios [k]) of supervised whitening: as `fit_pca`.

    Pairs of the same label are made white, C_S^(-1/2); then the directions are kept in which pairs of different labels
    lie farthest apart. Both covariances are of all pairs: sum over i < j of class c of (x_i - x_j)(x_i - x_j)^T is n_c
    times the scatter about the class's mean.

    Args:
      labels: int [n]; -1: unknown, left out.
      shrinkage: as in `fit_pca`, of the covariance of pairs of the same label.

    Raises:
      InputError: no pair of the same label or none of different ones, or C_S is singular without shrinkage.
    """
    known = np.flatnonzero(labels >= 0)
    classes, ids = np.unique(labels[known], return_inverse=True)
    counts = np.bincount(ids)
    same = (counts * (counts - 1) // 2).sum()
    other = len(known) * (len(known) - 1) // 2 - same
    if not same or not other:
        raise InputError("Lw needs pairs of the same label and of different ones; {} labelled rows have {} and "
                         "{}".format(len(known), same, other))
    chosen = _Rows(features, known)
    mean = _mean(chosen)
    means = np.zeros((len(classes), features.shape[1]))
    for start, block in _blocks(chosen):
        np.add.at(means, ids[start:start + len(block)], block)
    means /= counts[:, None]
    within = _scatter(chosen, lambda start, stop: means[ids[start:stop]], np.sqrt(counts[ids]))
    between = len(known) * _scatter(chosen, lambda start, stop: mean) - within
    values, vectors = np.linalg.eigh(_shrunk(within / same, shrinkage))
    if values[0] <= SMALLEST * values[-1]:
        raise InputError("pairs of the same label do not vary in all {} dimensions; give --shrinkage, such as "
                         "0.1".format(len(values)))
    root = (vectors / np.sqrt(values)).dot(vectors.T)
    ratios, directions = _largest(root.dot(between / other).dot(root), dimension)
    return mean, root.dot(directions), ratios


KINDS = {"pca": fit_pca, "lw": fit_lw}


class _Rows:
    """Some rows of an array, read in blocks."""

    def __init__(self, features, rows):
        self._features, self._rows = features, rows
        self.shape = (len(rows), features.shape[1])

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, part):
        return self._features[self._rows[part]]


def _blocks(features):
    for start in range(0, len(features), ROWS):
        yield start, np.asarray(features[start:start + ROWS], np.float64)


def _mean(features):
    return sum(block.sum(axis=0) for _, block in _blocks(features)) / len(features)


def _scatter(features, centre, weights=None):
    """Return the sum over rows of (w (x - centre)) (w (x - centre))^T, float64 [d, d]."""
    total = np.zeros((features.shape[1], features.shape[1]))
    for start, block in _blocks(features):
        block = block - centre(start, start + len(block))
        if weights is not None:
            block *= weights[start:start + len(block), None]
        total += block.T.dot(block)
    return total


def _shrunk(covariance, shrinkage):
    size = len(covariance)
    return (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)


def _largest(matrix, dimension):
    """Return (values [k], vectors [d, k]) of the k largest eigenvalues, the largest first."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int((values > SMALLEST * values[0]).sum())
    if dimension > rank:
        raise InputError("--dimension is {}, but the features vary in {} directions only; give that or less, or "
                         "--shrinkage".format(dimension, rank))
    size = dimension or rank
    return values[:size], vectors[:, :size]
