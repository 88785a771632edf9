import numpy as np
import pytest

from slim_retrieval.evaluation import each_other


def test_metrics_are_those_of_a_loop():
    random = np.random.RandomState(1)
    features, labels = random.randn(30, 4), [str(i % 4) for i in range(29)] + ["alone"]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    precisions, first = [], []
    for q in range(29):
        others = sorted((i for i in range(30) if i != q), key=lambda i, q=q: -features[q] @ features[i])
        hits = [labels[i] == labels[q] for i in others]
        precisions.append(np.mean([sum(hits[:i + 1]) / (i + 1) for i in range(29) if hits[i]]))
        first.append(hits[0])
    ranks = np.argsort(-features @ features.T, axis=1)
    for given in (ranks, ranks[:, 1:]):  # with the image itself, and without
        found = each_other.score(given, [str(i) for i in range(30)], labels)
        assert found["mAP"] == pytest.approx(np.mean(precisions)) and found["num_queries"] == 30
        assert found["recall_at_1"] == pytest.approx(np.mean(first))
