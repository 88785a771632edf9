"""Average precision (AP), in the two definitions that are in use, and its truncated forms.

Let a query have R positives in the gallery. Take its ranking, remove the junk, and number what is left 1, 2, ...
Let r_1 < r_2 < ... be the places of the positives that were returned. The precision after the place r is
P(r) = (positives among the first r) / r, so P(r_j) = j / r_j. A positive that was never returned adds 0.

    step        AP = 1/R  sum_j P(r_j)
    trapezoid   AP = 1/R  sum_j (P(r_j - 1) + P(r_j)) / 2,  with P(0) = 1
    AP@k        1/min(R, k)  sum over r_j <= k of P(r_j)
    AP@R        1/R  sum over r_j <= R of P(r_j)

`step` is the sum that most of the literature and scikit-learn use; `trapezoid` is what the programs that come with
Oxford5k (Philbin et al., CVPR 2007), Holidays (Jegou et al., ECCV 2008) and the revisited labels (Radenovic et al.,
CVPR 2018) compute. They differ: compare only numbers of the same definition. AP@k is that of Google Landmarks v2
(Weyand et al., CVPR 2020, k = 100); AP@R is Musgrave et al., ECCV 2020 ("MAP@R").
"""
import numpy as np

from slim_retrieval.evaluation.places import find, share, sums


def step(hits, num_positives, junk=None):
    """Return AP as the step sum, 1/R sum_j j / r_j.

    Args:
      hits: bool [num_queries, k]; whether each place of the ranking, best first, holds a positive. A ranking that is
        shorter than k ends in False.
      num_positives: int [num_queries]; R, all positives of the query in the gallery, returned or not.
      junk: bool [num_queries, k] or None; places that are removed, neither right nor wrong.

    Returns:
      float64 [num_queries], from 0 to 1; NaN for a query without positives.
    """
    return by_step(find(hits, num_positives, junk))


def trapezoid(hits, num_positives, junk=None):
    """Return AP as the area under straight lines, 1/R sum_j ((j - 1) / (r_j - 1) + j / r_j) / 2, first term 1 at r = 1.

    Arguments and result are those of `step`.
    """
    return by_trapezoid(find(hits, num_positives, junk))


def by_step(places):
    """Return the step sum of each ranking of `Places`, float64 [b]; NaN without positives."""
    return share(sums(places, places.order / places.place), places.num_positives)


def by_trapezoid(places):
    """Return the trapezoid AP of each ranking of `Places`, float64 [b]; NaN without positives."""
    # At a hit, the place before it holds one positive fewer; before the first place precision is 1 by definition.
    before = np.where(places.place > 1, (places.order - 1) / np.maximum(places.place - 1, 1), 1)
    return share(sums(places, (before + places.order / places.place) / 2), places.num_positives)


def at_depth(places, k):
    """Return AP@k: only the first k places count, and no more than k positives are asked for. float64 [b]."""
    return _until(places, k, np.minimum(places.num_positives, k))


def at_r(places):
    """Return AP@R, the step sum of the first R places. float64 [b]."""
    return _until(places, places.num_positives[places.row], places.num_positives)


AVERAGE_PRECISION = {"step": by_step, "trapezoid": by_trapezoid}
DESCRIPTIONS = {"step": "step sum", "trapezoid": "trapezoid (Oxford, revisited)"}


def _until(places, last, whole):
    return share(sums(places, np.where(places.place <= last, places.order / places.place, 0)), whole)
