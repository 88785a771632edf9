"""Normalised discounted cumulative gain with gains 0 and 1: a positive at place r is worth 1 / log2(r + 1)."""
import numpy as np

from slim_retrieval.evaluation.places import share, sums


def ndcg(places, k=None):
    """Return DCG over that of the best ranking, both cut at k: float64 [b], from 0 to 1; NaN without positives.

    Args:
      places: `Places` of a block of rankings.
      k: depth; None: the whole ranking.

    Source: Jarvelin and Kekalainen, TOIS 2002, with the discount log2(r + 1) of Burges et al., ICML 2005.
    """
    gains = 1 / np.log2(places.place + 1.0)
    ideal = places.num_positives
    if k is not None:
        gains, ideal = np.where(places.place <= k, gains, 0), np.minimum(ideal, k)
    best = np.cumsum(np.append(0, 1 / np.log2(np.arange(1, ideal.max(initial=0) + 1) + 1.0)))
    return share(sums(places, gains), best[ideal])
