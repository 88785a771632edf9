import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.gap import global_average_precision


@pytest.mark.parametrize("scores, correct, answerable, expected", [
    # Right, wrong, right, by score: (1/1 + 2/3) / 3, one answerable query having no prediction.
    ([0.9, 0.8, 0.7], [True, False, True], 3, (1 + 2 / 3) / 3),
    ([0.7, 0.9, 0.8], [True, True, False], 3, (1 + 2 / 3) / 3),  # the same in another order
    ([0.5, 0.5], [True, False], 1, 1),  # a tie: the first given goes first
    ([0.5, 0.5], [False, True], 1, 1 / 2),
    ([0.9, 0.1], [False, True], 1, 1 / 2),  # a distractor with a confident prediction pushes the right one down
    ([], [], 2, 0),
    ([0.3], [False], 2, 0),
])
def test_worked_by_hand(scores, correct, answerable, expected):
    assert global_average_precision(scores, correct, answerable) == pytest.approx(expected)


def test_agrees_with_sklearn_when_everything_answerable_is_predicted():
    rng = np.random.RandomState(0)
    for _ in range(200):
        correct = rng.rand(rng.randint(1, 40)) < 0.4
        scores = rng.permutation(len(correct)) / 7.0  # no ties
        if correct.any():
            assert global_average_precision(scores, correct, correct.sum()) == pytest.approx(
                average_precision_score(correct, scores))


def test_what_cannot_be_scored():
    with pytest.raises(InputError, match="prediction 1 of 2 has the score NaN"):
        global_average_precision([1, np.nan], [True, True], 2)
    with pytest.raises(InputError, match="none of the queries has an answer"):
        global_average_precision([1], [False], 0)
