"""Shares of the first places: precision, R-precision, and the N-S score of UKBench.

Places count from 1 without junk; a ranking that ends early has wrong images on the places that it left empty.
"""
import numpy as np

from slim_retrieval.evaluation.places import share, sums


def at_depth(places, k):
    """Return precision@k, the positives among the first k over k: float64 [b]; NaN without positives."""
    return _scored(places, _among_first(places, k) / k)


def r_precision(places):
    """Return R-precision, the positives among the first R over R, R being the query's positives: float64 [b]."""
    return share(_among_first(places, places.num_positives[places.row]), places.num_positives)


def revisited(places, k):
    """Return the precision@k of revisited Oxford and Paris: over min(k, the last positive's place). float64 [b].

    A query whose positives all stand above k is not charged for the places below them. Without a positive returned it
    is 0. Source: Radenovic et al., CVPR 2018, and `compute_map` of their code (github.com/filipradenovic/revisitop).
    """
    last = np.zeros(len(places.num_positives))
    np.maximum.at(last, places.row, places.place)
    depth = np.minimum(last, k)
    counted = np.where(depth > 0, depth, 1)
    return _scored(places, _among_first(places, k) / counted)


def ns_score(places):
    """Return the positives among the first four places, from 0 to 4: float64 [b]; NaN without positives.

    Of UKBench, where each object has four images and the query itself is one of them (Nister and Stewenius, CVPR 2006).
    """
    return _scored(places, _among_first(places, 4))


def _among_first(places, k):
    return sums(places, (places.place <= k).astype(np.float64))


def _scored(places, values):
    return np.where(places.num_positives > 0, values, np.nan)
