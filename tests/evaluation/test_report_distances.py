import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from slim_retrieval.evaluation import relevance, report_distances


def features(seed, rows, width=5):
    x = np.random.RandomState(seed).normal(size=(rows, width)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_small_cases_are_taken_whole():
    query, gallery = features(0, 3), features(1, 6)
    judged = relevance.from_lists([[0, 1], [], [5]], [[2], [], []], 6)
    matching, others = report_distances.sample(query, gallery, judged)
    pairs = {"matching": [(0, 0), (0, 1), (2, 5)],
             "others": [(0, i) for i in (3, 4, 5)] + [(2, i) for i in range(5)]}  # the second query has no positive
    for found, expected in ((matching, pairs["matching"]), (others, pairs["others"])):
        np.testing.assert_allclose(found, [np.linalg.norm(query[q] - gallery[g]) for q, g in expected], rtol=1e-5)


def test_samples_are_bounded_and_seeded(monkeypatch):
    query, gallery = features(0, 40), features(1, 300)
    labels = np.arange(300) % 3
    judged = relevance.from_labels(np.arange(40) % 3, labels)
    monkeypatch.setattr(report_distances, "QUERIES", 10)
    once, again = (report_distances.sample(query, gallery, judged, seed=1) for _ in range(2))
    assert [len(one) for one in once] == [10 * report_distances.PAIRS] * 2
    np.testing.assert_array_equal(once[0], again[0])
    assert (report_distances.sample(query, gallery, judged, seed=2)[0] != once[0]).any()
    monkeypatch.setattr(report_distances, "JUDGED", 2 * 300)
    assert len(report_distances.sample(query, gallery, judged)[0]) == 2 * report_distances.PAIRS


def test_equal_images_have_distance_zero():
    x = features(0, 1)
    assert report_distances.sample(x, x, relevance.from_lists([[0]], None, 1))[0] == pytest.approx([0], abs=1e-3)


def test_histogram_and_how_often_a_match_is_closer():
    random = np.random.RandomState(0)
    matching, others = random.normal(0.8, 0.2, 300).round(1), random.normal(1.1, 0.2, 500).round(1)  # with ties
    found = report_distances.histogram(matching, others, bins=8)
    assert found["matching"].sum() == pytest.approx(1) and found["others"].sum() == pytest.approx(1)
    inside = (others >= found["edges"][3]) & (others < found["edges"][4])
    assert found["others"][3] == pytest.approx(inside.mean())
    truth = [True] * 300 + [False] * 500
    assert report_distances.closer(matching, others) == pytest.approx(
        roc_auc_score(truth, -np.concatenate([matching, others])))
    same = report_distances.histogram(np.ones(3), np.ones(2))
    assert same["matching"][0] == 1 and len(same["edges"]) == report_distances.BINS + 1
