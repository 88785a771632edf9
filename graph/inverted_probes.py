"""How many lists of an inverted file to look into: chosen on a sample of the gallery, and measured on another."""
import numpy as np

from slim_retrieval.graph import approximate, inverted_search, keys, knn, lists

DEPTHS = [10, 50, 100]  # of answers for which it is chosen; deeper ones come from all lists


def depths(index, gallery, own, recall, random, asked=None):
    """Return a list of dicts: k, probes (lists to look into), recall (the share of the k nearest that is then found).

    A row of the sample is searched as if it were not in the gallery. Similarities are those to the true queries.

    Args:
      index: inverted_search.InvertedFile of the gallery, float32 [n, d].
      own: int [n], the list of each row.
      recall: share of the nearest that is to be found in the mean, 0 to 1.
      random: numpy.random.RandomState.
      asked: function from rows to (true queries, queries as they will be asked), float32 [rows, d]; None: the rows.
    """
    n = len(gallery)
    steps = sorted({max(1, min(depth, n - 1)) for depth in DEPTHS})
    rows = random.permutation(n)[:2 * approximate.SAMPLE]
    exact, queries = (gallery[rows],) * 2 if asked is None else asked(rows)
    near, true = approximate.exact(gallery, rows, steps[-1], exact)
    chosen, measured = slice(0, (len(rows) + 1) // 2), slice(len(rows) // 2, None)
    needed = _needed(index.centres, queries[chosen], own[near[chosen]])
    result = []
    for k in steps:
        probes = lists.covering(needed[:, :k].ravel(), recall)
        ids, similarities = inverted_search.look(index, queries[measured], k + 1, probes)
        ids = keys.without(rows[measured], similarities, ids, k)[0]
        similarities = np.stack([gallery[found] @ query for found, query in zip(ids, exact[measured])])
        result.append({"k": k, "probes": probes,
                       "recall": round(knn.share_found(similarities, true[measured, :k]), 4)})
    return result


def _needed(centres, queries, theirs):
    """Return how many lists each query must look into to meet each of its neighbours, int [m, k].

    Args:
      centres: float32 [lists, d]; queries: float32 [m, d]; theirs: int [m, k], the lists that the neighbours are in.
    """
    products = queries @ centres.T
    reached = np.take_along_axis(products, theirs, axis=1)
    return np.stack([(row > bound[:, None]).sum(axis=1) + 1 for row, bound in zip(products, reached)])
