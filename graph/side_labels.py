"""Labels known for some images, as side information about edges: veto, add, re-weight.

Labels are codes: int [n], -1 where unknown. An unknown label changes nothing. Wrong labels are met before any of the
three (`believe`): a trust is estimated from the labels themselves, no ground truth, and the labels that their
neighbourhood contradicts most count as unknown. How many do is 1 - trust.
"""
import numpy as np
from scipy import sparse

from slim_retrieval.graph import knn, symmetric

MIN_PAIRS = 10  # fewer pairs of neighbours with known labels are no evidence
SMALL_CLASS = 1024


def estimate_trust(matrix, codes):
    """Return (trust, pairs): the share of known labels that seem right, and the number of pairs that say so.

    Looked at are the pairs of images with known labels that are each other's most similar image among those with known
    labels: as near to certain duplicates as the graph has. With p the share of them whose labels agree and c what
    chance gives (the sum of squared label frequencies), kappa = (p - c) / (1 - c) is Cohen's kappa. If a label is right
    with probability t and else drawn at random, two labels of one thing agree by kappa = t^2; hence

        trust = sqrt(max(0, kappa)).

    Neighbours of different things agree less, so poor features make the estimate too low, never too high: labels are
    then left unused, not wrongly used. With fewer than MIN_PAIRS pairs, or one label only, nothing speaks against the
    labels: trust 1.

    Args:
      matrix: edges, symmetric CSR [n, n].
      codes: int [n], -1 unknown.
    """
    rows, columns = symmetric.ends(matrix)
    known = (codes[rows] >= 0) & (codes[columns] >= 0)
    rows, columns, values = rows[known], columns[known], matrix.data[known]
    order = np.lexsort((columns, -values, rows))
    rows, columns = rows[order], columns[order]
    first = np.ones(len(rows), bool)
    first[1:] = rows[1:] != rows[:-1]
    best = np.full(len(codes), -1, np.int64)
    best[rows[first]] = columns[first]
    left = np.flatnonzero((best >= 0) & (best[best] == np.arange(len(codes))) & (best > np.arange(len(codes))))
    frequencies = np.unique(codes[codes >= 0], return_counts=True)[1] / max(1, np.sum(codes >= 0))
    chance = float(np.sum(frequencies ** 2))
    if len(left) < MIN_PAIRS or chance >= 1:
        return 1.0, len(left)
    agreeing = float(np.mean(codes[left] == codes[best[left]]))
    return float(np.sqrt(max(0.0, (agreeing - chance) / (1 - chance)))), len(left)


def believe(matrix, codes, trust):
    """Return the codes without the (1 - trust) share of known labels that the neighbours contradict most.

    An image's neighbours vote for their labels, each by its similarity over that of the nearest. The support of the
    image's own label is (1 + votes for it) / (1 + votes for the label with most); it is 1 where no other label has more
    votes, and such a label is always kept.

    Args:
      matrix: edges, symmetric CSR [n, n].
      codes: int [n], -1 unknown. Not changed.
      trust: share of the known labels to believe, in [0, 1].

    Returns:
      int64 [n], codes with further -1.
    """
    result = np.array(codes, np.int64)
    known = np.flatnonzero(result >= 0)
    support = _support(matrix, result)[known]
    order = np.argsort(support, kind="stable")[:int(round((1 - trust) * len(known)))]
    result[known[order[support[order] < 1]]] = -1
    return result


def veto(matrix, codes):
    """Return the edges without those whose ends have known and different labels."""
    return reweight(matrix, codes, 1, 0)


def reweight(matrix, codes, agree, disagree, unknown=1.0):
    """Return the edges times a factor: by whether their ends' labels agree, disagree, or are not both known."""
    rows, columns = symmetric.ends(matrix)
    known = (codes[rows] >= 0) & (codes[columns] >= 0)
    factors = np.where(known, np.where(codes[rows] == codes[columns], agree, disagree), unknown)
    return symmetric.with_values(matrix, matrix.data * factors)


def add(matrix, codes, features, count):
    """Return the edges with each image joined to its `count` nearest images of the same known label.

    A new edge has the larger of the pair's own similarity and the median of the edges that are there: the label says
    that the pair belongs together, so it counts no less than a usual edge. An edge that is there keeps its value if
    that is larger. At most count x n edges are added, whatever the sizes of the classes.

    Args:
      matrix: edges, symmetric CSR [n, n].
      codes: int [n], -1 unknown.
      features: float32 [n, d], rows L2-normalised; who is nearest.
      count: neighbours of the same label, at least 1.
    """
    usual = float(np.median(matrix.data)) if matrix.nnz else 0.0
    rows, columns, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for members in _classes(codes):
        ids, similarities = _nearest(features[members], min(count, len(members) - 1))
        rows.append(np.repeat(members, ids.shape[1]))
        columns.append(members[ids.ravel()])
        values.append(np.maximum(similarities.ravel(), usual))
    added = symmetric.from_pairs(*[np.concatenate(parts) for parts in (rows, columns, values)], n=len(codes))
    return symmetric.larger(matrix, added)


def _nearest(rows, count):
    """Return what knn.neighbors does; a small class in one product, without a progress bar for each of thousands."""
    if len(rows) > SMALL_CLASS:
        return knn.neighbors(rows, count)
    products = np.clip(rows @ rows.T, -1, 1)
    np.fill_diagonal(products, -np.inf)
    ids = np.argsort(-products, axis=1, kind="stable")[:, :count]
    return ids, np.take_along_axis(products, ids, axis=1)


def _classes(codes):
    """Yield the rows of each label that at least two images have."""
    order = np.argsort(codes, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if len(members) > 1 and codes[members[0]] >= 0:
            yield members


def _support(matrix, codes):
    """Return each image's support of its own label, float64 [n]; see `believe`. Meaningless where unknown."""
    rows, columns = symmetric.ends(matrix)
    values = np.maximum(matrix.data.astype(np.float64), 0)
    nearest = matrix.max(axis=1).toarray().ravel().astype(np.float64)  # at least 0: what is not stored is 0
    voting = (codes[columns] >= 0) & (values > 0)
    rows, columns, votes = rows[voting], columns[voting], values[voting] / nearest[rows[voting]]
    own = np.bincount(rows, votes * (codes[rows] == codes[columns]), minlength=len(codes))
    ballots = sparse.coo_matrix((votes, (rows, codes[columns])), shape=(len(codes), max(1, codes.max() + 1))).tocsr()
    most = ballots.max(axis=1).toarray().ravel()
    return (1 + own) / (1 + np.maximum(most, own))  # `own` again: sums of the same votes in another order
