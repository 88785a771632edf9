"""How GFR judges what it has learned: on classes that were held out, by mean average precision."""
import numpy as np

MOST_ROWS = 4000  # of a held-out gallery
MOST_QUERIES = 500
ERRORS = 2  # standard errors by which a setting must be ahead of doing nothing
FEWEST_CLASSES = 4  # with two images or more: two to learn from and two to judge on


def folds(labels, seed):
    """Return [(rows to learn from, rows to judge on)] twice: the classes in two halves, each held out once.

    Args:
      labels: int [n].
      seed: int.

    Returns:
      Two pairs of int arrays, disjoint in rows and classes, the rows to learn from of the two making up all rows; an
      empty list where fewer than FEWEST_CLASSES classes have two images. What is judged on is at most MOST_ROWS rows,
      whole classes where they are small.
    """
    counts = np.bincount(labels)
    usable = np.flatnonzero(counts > 1)
    if len(usable) < FEWEST_CLASSES:
        return []
    # Sorted by size and dealt out in turn, neighbours shuffled: both halves hold small classes and large ones.
    random = np.random.RandomState([seed, 11])
    usable = random.permutation(usable)
    usable = usable[np.argsort(counts[usable], kind="stable")]
    half = np.zeros(len(counts), int)
    half[usable] = (np.arange(len(usable)) + np.repeat(random.randint(2, size=len(usable)), 2)[:len(usable)]) % 2
    side = half[labels]
    rows = np.arange(len(labels))
    return [(rows[side != held], subset(labels, rows[(side == held) & (counts[labels] > 1)], random))
            for held in (0, 1)]


def halves(labels, seed):
    """Return one or two int arrays of rows, disjoint: the images of classes that have two or more, dealt out in pairs.

    Large classes are in both, a class of two is in one. At most MOST_ROWS rows in all.
    """
    random = np.random.RandomState([seed, 14])
    rows = random.permutation(subset(labels, np.flatnonzero(np.bincount(labels)[labels] > 1), random))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    codes = np.unique(labels[rows], return_inverse=True)[1]
    place = np.arange(len(rows)) - np.searchsorted(codes, codes)  # within the class
    half = (place // 2 + codes) % 2
    return [np.sort(rows[half == side]) for side in (0, 1) if np.any(half == side)]


def subset(labels, rows, random, most=MOST_ROWS):
    """Return at most about `most` of the rows, sorted: as many whole classes as possible, none of them dominating."""
    if len(rows) <= most:
        return rows
    present = random.permutation(np.unique(labels[rows]))
    largest = max(100, most // len(present))
    chosen, total = [], 0
    for label in present:
        members = rows[labels[rows] == label]
        chosen.append(random.permutation(members)[:largest])
        total += len(chosen[-1])
        if total >= most:
            break
    return np.sort(np.concatenate(chosen))


def average_precisions(features, labels, block=128):
    """Return the average precision (step sum) of rows as queries for all others, float64 [q], q MOST_QUERIES at most.

    Args:
      features: float32 [n, r], unit rows.
      labels: int [n]. Queries without another image of their class are left out.
      block: queries at a time, [block, n] values.
    """
    counts = np.bincount(labels)
    queries = np.flatnonzero(counts[labels] > 1)
    queries = queries[np.linspace(0, len(queries) - 1, min(len(queries), MOST_QUERIES)).astype(int)]
    precisions = []
    for start in range(0, len(queries), block):
        rows = queries[start:start + block]
        scores = features[rows] @ features.T
        scores[np.arange(len(rows)), rows] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
        hits = labels[order] == labels[rows][:, None]
        places = np.cumsum(hits, axis=1) / np.arange(1, order.shape[1] + 1)
        precisions.append(np.sum(places * hits, axis=1) / hits.sum(axis=1))
    return np.concatenate(precisions)


def mean_average_precision(features, labels, block=128):
    """Return the mean of average_precisions."""
    return float(np.mean(average_precisions(features, labels, block)))


def judge(galleries):
    """Return the average precisions of each gallery of [(features, labels)]: a list that `mean` and `ahead` take."""
    return [average_precisions(h, labels) for h, labels in galleries]


def mean(judged):
    """Return the mean over galleries of their mAP."""
    return float(np.mean([np.mean(values) for values in judged]))


def ahead(judged, base):
    """Return whether the mean is ahead of that of `base` by more than chance explains: by ERRORS standard errors.

    Both are judged on the same queries, so the error is that of the differences.
    """
    gains = [values - before for values, before in zip(judged, base)]
    error = np.sqrt(np.sum([np.var(gain) / len(gain) for gain in gains])) / len(gains)
    return bool(mean(gains) > ERRORS * error)


def best(judged, base):
    """Return the key of the best mean in {key: judged}; `base` unless it is ahead of that.

    Args:
      judged: dict; the first wins among equals.
      base: the key of doing nothing.
    """
    found = max(judged, key=lambda key: mean(judged[key]))
    return found if ahead(judged[found], judged[base]) else base
