"""Global average precision (GAP): one list of all queries' predictions, most confident first."""
import numpy as np

from slim_retrieval.common.errors import InputError


def global_average_precision(scores, correct, num_answerable):
    """Return GAP = 1/M sum_i P(i) rel(i), from 0 to 1, over all predictions by falling score.

    rel(i) is 1 when the i-th prediction is right, P(i) the share of right ones among the first i, and M the number of
    queries that have an answer. A prediction for a query without an answer is wrong, and pushes others down.

    Args:
      scores: [n], the confidence of each prediction, one a query; any order of the queries.
      correct: bool [n].
      num_answerable: M, predicted or not.

    Ties: equal scores keep the order in which they are given (callers give the smaller id first).
    Raises:
      InputError: a score that is no number, or no query with an answer.

    Source: Weyand et al., Google Landmarks Dataset v2, CVPR 2020, section 4.3, and `GlobalAveragePrecision` of its code
    (tensorflow/models, research/delf), which also breaks ties by the smaller id.
    """
    scores, correct = np.asarray(scores, np.float64), np.asarray(correct, bool)
    if not num_answerable:
        raise InputError("none of the queries has an answer in the ground truth; GAP needs at least one")
    wrong = np.flatnonzero(np.isnan(scores))
    if wrong.size:
        raise InputError("prediction {} of {} has the score NaN; give a number".format(wrong[0], len(scores)))
    right = correct[np.argsort(-scores, kind="stable")]
    places = np.flatnonzero(right) + 1
    return float((np.arange(1, len(places) + 1) / places).sum() / num_answerable)
