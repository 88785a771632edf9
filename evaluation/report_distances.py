"""How far apart matching and other pairs of images lie in the features: a seeded sample for two histograms."""
import numpy as np

BINS = 40
QUERIES = 500  # sampled at most
PAIRS = 20  # of either kind, for each sampled query
JUDGED = 2 ** 25  # query-gallery pairs judged at most; a gallery of millions leaves fewer queries


def sample(query, gallery, relevance, seed=0):
    """Return Euclidean distances of sampled query-gallery pairs: (of matching ones, of the others), float64 each.

    For each of some queries that have a positive, up to PAIRS positives and as many negatives are drawn from the whole
    gallery without replacement; junk is neither.

    Args:
      query, gallery: float32 [num_queries, d] and [num_gallery, d], rows L2-normalised; may be memory-mapped.
      relevance: a `relevance.Relevance`.
      seed: of the sample.
    """
    random = np.random.RandomState(seed)
    num_gallery = len(gallery)
    candidates = np.flatnonzero(relevance.num_positives > 0)
    count = min(len(candidates), QUERIES, max(1, JUDGED // num_gallery))
    ids = np.arange(num_gallery)
    matching, others = [], []
    for row in np.sort(random.permutation(candidates)[:count]):
        hits, junk = relevance.judge(np.array([row]), ids[np.newaxis])
        removed = hits[0] if junk is None else hits[0] | junk[0]
        for kind, into in ((np.flatnonzero(hits[0]), matching), (np.flatnonzero(~removed), others)):
            drawn = np.sort(random.permutation(kind)[:PAIRS])
            into.append(_distances(query[row], gallery[drawn]))
    return np.concatenate(matching), np.concatenate(others)


def histogram(matching, others, bins=BINS):
    """Return {edges, matching, others}: shares of each kind of pair, summing to 1, between bins + 1 common edges."""
    low, high = min(matching.min(), others.min()), max(matching.max(), others.max())
    edges = np.linspace(low, high if high > low else low + 1e-3, bins + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (matching, others)]
    return {"edges": edges, "matching": shares[0], "others": shares[1]}


def closer(matching, others):
    """Return how probable it is that a matching pair lies closer than another, ties counting half (area under ROC)."""
    ordered = np.sort(others)
    right = np.searchsorted(ordered, matching, side="right")
    left = np.searchsorted(ordered, matching, side="left")
    return float(1 - (left + right).mean() / (2 * len(others)))


def _distances(one, others):
    similarity = np.asarray(others, np.float64) @ np.asarray(one, np.float64)
    return np.sqrt(np.maximum(2 - 2 * similarity, 0))
