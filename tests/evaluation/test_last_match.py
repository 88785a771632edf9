import numpy as np
import pytest

from slim_retrieval.evaluation.last_match import inverse_negative_penalty
from slim_retrieval.evaluation.places import find


@pytest.mark.parametrize("text, positives, expected", [
    ("++..", 2, 1),
    ("+..+", 2, 2 / 4),
    ("j+j.+", 2, 2 / 3),  # junk has no place
    ("...+", 1, 1 / 4),
    ("++.", 3, 0),  # the third was never returned: its place counts as infinite
    ("...", 1, 0),
    ("...", 0, np.nan),
])
def test_worked_by_hand(text, positives, expected):
    places = find(np.array([[c == "+" for c in text]]), [positives], np.array([[c == "j" for c in text]]))
    np.testing.assert_allclose(inverse_negative_penalty(places), [expected], rtol=1e-12)
