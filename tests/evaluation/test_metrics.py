import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics
from slim_retrieval.evaluation.relevance import from_labels, from_lists


def test_worked_by_hand():
    relevance = from_lists([[0, 1], [3], [], [2]], [[2], [0, 1], [], []], 4)
    ranks = np.array([
        [2, 0, 3, 1],    # junk, +, wrong, +: places 1 and 3
        [0, 1, 2, 3],    # junk, junk, wrong, +: place 2
        [0, 1, 2, 3],    # no positives: left out
        [0, 1, -1, -1],  # never returned
    ])
    result = metrics.evaluate(ranks, relevance, recall_at=(1, 2, 4))
    np.testing.assert_allclose(result.pop("average_precision"), [5 / 6, 1 / 2, np.nan, 0])
    assert result == {"mAP": pytest.approx((5 / 6 + 1 / 2) / 3), "recall_at_1": pytest.approx(1 / 3),
                      "recall_at_2": pytest.approx(2 / 3), "recall_at_4": pytest.approx(2 / 3),
                      "mean_reciprocal_rank": pytest.approx((1 + 1 / 2 + 0) / 3),
                      "num_queries": 4, "num_queries_without_positives": 1}


def test_definition_is_the_one_asked_for():
    relevance, ranks = from_labels([1], [0, 1]), np.array([[0, 1]])
    assert metrics.evaluate(ranks, relevance, "step")["mAP"] == 1 / 2
    assert metrics.evaluate(ranks, relevance, "trapezoid")["mAP"] == 1 / 4


def test_truncating_a_ranking_never_helps():
    # Of three positives one is returned: dividing by those returned would give 1.
    result = metrics.evaluate(np.array([[0]]), from_labels([1], [1, 1, 1]), recall_at=(1, 10))
    assert result["mAP"] == pytest.approx(1 / 3) and result["recall_at_10"] == 1


def test_blocks_agree_with_sklearn_query_by_query(monkeypatch):
    rng = np.random.RandomState(0)
    query, gallery = rng.randint(5, size=37), rng.randint(5, size=50)
    scores = rng.rand(37, 50)
    ranks = np.argsort(-scores, axis=1).astype(np.int32)
    whole = metrics.evaluate(ranks, from_labels(query, gallery))
    monkeypatch.setattr(metrics, "PLACES_PER_BLOCK", 200)  # four queries at a time; 37 = 9 x 4 + 1
    blocks = metrics.evaluate(ranks, from_labels(query, gallery))
    expected = [average_precision_score(gallery == label, score) for label, score in zip(query, scores)]
    np.testing.assert_allclose(whole["average_precision"], expected, rtol=1e-12)
    np.testing.assert_allclose(blocks["average_precision"], expected, rtol=1e-12)
    assert whole["mAP"] == pytest.approx(np.mean(expected))
    first = [np.flatnonzero(gallery[row] == label)[0] + 1 for row, label in zip(ranks, query)]
    assert blocks["mean_reciprocal_rank"] == pytest.approx(np.mean([1 / place for place in first]))
    assert blocks["recall_at_5"] == pytest.approx(np.mean([place <= 5 for place in first]))


def test_no_query_has_positives():
    with pytest.raises(InputError, match="none of the 2 queries has a positive among the 3 gallery images"):
        metrics.evaluate(np.array([[0], [1]]), from_labels([8, 9], [0, 1, 2]))


def test_unknown_definition_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown definition of average precision 'area'.*step, trapezoid"):
        metrics.evaluate(np.array([[0]]), from_labels([0], [0]), "area")
