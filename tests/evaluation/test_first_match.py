import numpy as np
import pytest

from slim_retrieval.evaluation import first_match
from slim_retrieval.evaluation.places import find


@pytest.mark.parametrize("text, positives, first, at_2, reciprocal", [
    ("+.+", 2, 1, 1, 1),
    (".+", 1, 2, 1, 1 / 2),
    ("jj.+", 1, 2, 1, 1 / 2),  # junk before the positive has no place
    ("..+", 1, 3, 0, 1 / 3),
    ("...", 1, np.inf, 0, 0),  # never returned
    ("jjj", 1, np.inf, 0, 0),
    ("...", 0, np.inf, np.nan, np.nan),
])
def test_worked_by_hand(text, positives, first, at_2, reciprocal):
    places = find(np.array([[c == "+" for c in text]]), [positives], np.array([[c == "j" for c in text]]))
    assert first_match.first_place(places).tolist() == [first]
    np.testing.assert_array_equal(first_match.found_by(places, 2), [at_2])
    np.testing.assert_array_equal(first_match.reciprocal_rank(places), [reciprocal])
