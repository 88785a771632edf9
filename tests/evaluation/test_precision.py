import numpy as np
import pytest

from slim_retrieval.evaluation import precision
from slim_retrieval.evaluation.places import find


def places(text, positives):
    """'+' is a positive, 'j' junk, '.' wrong."""
    return find(np.array([[c == "+" for c in text]]), [positives], np.array([[c == "j" for c in text]]))


@pytest.mark.parametrize("text, positives, at_2, at_r, revisited_at_3, ns", [
    ("+.+.", 2, 1 / 2, 1 / 2, 2 / 3, 2),
    ("j+.+.", 2, 1 / 2, 1 / 2, 2 / 3, 2),  # junk before positives has no place
    ("++..", 2, 1, 1, 1, 2),  # all positives above 3: places behind the last do not count against it
    ("+...", 2, 1 / 2, 1 / 2, 1, 1),  # one never returned; revisited's code sees only what was
    ("+", 2, 1 / 2, 1 / 2, 1, 1),  # a short ranking
    ("....+", 1, 0, 0, 0, 0),
    ("..j+.", 1, 0, 0, 1 / 3, 1),
    ("....", 1, 0, 0, 0, 0),
    ("++++++", 6, 1, 1, 1, 4),
    ("....", 0, np.nan, np.nan, np.nan, np.nan),
])
def test_worked_by_hand(text, positives, at_2, at_r, revisited_at_3, ns):
    found = places(text, positives)
    results = [precision.at_depth(found, 2), precision.r_precision(found), precision.revisited(found, 3),
               precision.ns_score(found)]
    np.testing.assert_allclose(np.concatenate(results), [at_2, at_r, revisited_at_3, ns], rtol=1e-12)


def test_queries_do_not_touch_each_other():
    found = find(np.array([[True, False], [False, False], [False, True]]), [1, 1, 1])
    assert precision.at_depth(found, 1).tolist() == [1, 0, 0]
    assert precision.revisited(found, 2).tolist() == [1, 0, 1 / 2]
