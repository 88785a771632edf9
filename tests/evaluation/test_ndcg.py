import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from slim_retrieval.evaluation.ndcg import ndcg
from slim_retrieval.evaluation.places import find

LOG = 1 / np.log2([2, 3, 4, 5])  # what places 1, 2, 3, 4 are worth


@pytest.mark.parametrize("text, positives, whole, at_2", [
    ("++.", 2, 1, 1),
    ("+.+", 2, (LOG[0] + LOG[2]) / (LOG[0] + LOG[1]), LOG[0] / (LOG[0] + LOG[1])),
    ("j+j.+", 2, (LOG[0] + LOG[2]) / (LOG[0] + LOG[1]), LOG[0] / (LOG[0] + LOG[1])),
    (".+", 1, LOG[1], LOG[1]),
    ("+", 3, LOG[0] / (LOG[0] + LOG[1] + LOG[2]), LOG[0] / (LOG[0] + LOG[1])),  # two were never returned
    ("...", 2, 0, 0),
    ("...", 0, np.nan, np.nan),
])
def test_worked_by_hand(text, positives, whole, at_2):
    places = find(np.array([[c == "+" for c in text]]), [positives], np.array([[c == "j" for c in text]]))
    np.testing.assert_allclose(ndcg(places), [whole], rtol=1e-12)
    np.testing.assert_allclose(ndcg(places, 2), [at_2], rtol=1e-12)


def test_agrees_with_sklearn():
    rng = np.random.RandomState(0)
    for _ in range(200):
        n, k = rng.randint(2, 30), rng.randint(1, 35)
        hits = rng.rand(1, n) < 0.3
        if hits.any():
            places = find(hits, [hits.sum()])
            scores = -np.arange(n)[np.newaxis]
            np.testing.assert_allclose(ndcg(places, k), [ndcg_score(hits.astype(int), scores, k=k)], rtol=1e-12)
            np.testing.assert_allclose(ndcg(places), [ndcg_score(hits.astype(int), scores)], rtol=1e-12)
