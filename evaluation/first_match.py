"""How soon the first positive comes: Recall@k, the same as CMC, and the reciprocal rank.

Places count from 1 without junk. The cumulative matching characteristic of Market-1501 (Zheng et al., ICCV 2015) at k
is the share of queries whose first right image, junk removed, stands among the first k; metric learning calls that
number Recall@k. (Information retrieval's recall, the share of positives found, is another.)
"""
import numpy as np


def found_by(places, k):
    """Return 1 for a ranking with a positive among the first k places, else 0: float64 [b]; NaN without positives."""
    return np.where(places.num_positives > 0, first_place(places) <= k, np.nan)


def reciprocal_rank(places):
    """Return 1 / the place of the first positive, 0 if none was returned: float64 [b]; NaN without positives."""
    return np.where(places.num_positives > 0, 1 / first_place(places), np.nan)


def first_place(places):
    """Return the place of each ranking's first positive, float64 [b]; infinity where none was returned."""
    first = np.full(len(places.num_positives), np.inf)
    is_first = places.order == 1
    first[places.row[is_first]] = places.place[is_first]
    return first
