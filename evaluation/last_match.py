"""How late the last positive comes: the inverse negative penalty, whose mean over queries is mINP."""
import numpy as np


def inverse_negative_penalty(places):
    """Return R / the place of the R-th positive: float64 [b], from 0 to 1; NaN for a query without positives.

    It is the precision at the hardest match: how little must be looked at to find all of them. When a positive was
    never returned, that place is unknown; it counts as infinite, so the score is 0. A truncated ranking is therefore
    scored low, where dividing by the last match that was returned would reward leaving the hard ones out.

    Source: Ye et al., Deep Learning for Person Re-Identification: A Survey and Outlook, TPAMI 2021, equation 4.
    """
    score = np.zeros(len(places.num_positives))
    is_last = places.order == places.num_positives[places.row]
    score[places.row[is_last]] = places.order[is_last] / places.place[is_last]
    return np.where(places.num_positives > 0, score, np.nan)
