"""Average precision (AP), in the two definitions that are in use.

Let a query have R positives in the gallery. Take its ranking, remove the junk, and number what is left 1, 2, ...
Let r_1 < r_2 < ... be the places of the positives that were returned. The precision after the place r is
P(r) = (positives among the first r) / r, so P(r_j) = j / r_j. A positive that was never returned adds 0.

    step        AP = 1/R  sum_j P(r_j)
    trapezoid   AP = 1/R  sum_j (P(r_j - 1) + P(r_j)) / 2,  with P(0) = 1

`step` is the sum that most of the literature and scikit-learn use; `trapezoid` is what the programs that come with
Oxford5k (Philbin et al., CVPR 2007) and with its revisited labels (Radenovic et al., CVPR 2018) compute. They
differ: compare only numbers of the same definition.
"""
import numpy as np


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
    found, places = _count(hits, junk)
    return _mean_over_positives(np.where(hits, found / places, 0), num_positives)


def trapezoid(hits, num_positives, junk=None):
    """Return AP as the area under straight lines, 1/R sum_j ((j - 1) / (r_j - 1) + j / r_j) / 2, first term 1 at r = 1.

    Arguments and result are those of `step`.
    """
    found, places = _count(hits, junk)
    # At a hit, the place before it holds one positive fewer; before the first place precision is 1 by definition.
    before = np.where(places > 1, (found - 1) / np.maximum(places - 1, 1), 1)
    return _mean_over_positives(np.where(hits, (before + found / places) / 2, 0), num_positives)


AVERAGE_PRECISION = {"step": step, "trapezoid": trapezoid}
DESCRIPTIONS = {"step": "step sum", "trapezoid": "trapezoid (Oxford, revisited)"}


def _count(hits, junk):
    """Return (positives so far, place without junk), both int [num_queries, k] and counted from 1."""
    found = np.cumsum(hits, axis=1)
    if junk is None:
        return found, np.arange(1, hits.shape[1] + 1)[np.newaxis, :]
    # At least 1: junk in front has no place of its own, and no hit either.
    return found, np.maximum(np.cumsum(~junk, axis=1), 1)


def _mean_over_positives(terms, num_positives):
    num_positives = np.asarray(num_positives, np.float64)
    sums = terms.sum(axis=1)
    return np.divide(sums, num_positives, out=np.full(len(sums), np.nan), where=num_positives > 0)
