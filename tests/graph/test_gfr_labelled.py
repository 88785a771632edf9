"""With labels GFR takes what they teach, unless what needs none is as good on held-out classes."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_edge, gfr_labelled, gfr_metric, gfr_options, gfr_validation, knn

OPTIONS = gfr_options.resolve({"neighbors": 15, "epochs": 2})


def clusters(classes, seed, each=10, d=20):
    """Return (unit rows, labels); what differs within a class lies mostly in half of the dimensions."""
    rng = np.random.RandomState(seed)
    labels = np.repeat(np.arange(classes), each)
    x = rng.normal(size=(classes, d))[labels] + np.where(np.arange(d) % 2, 1.2, 0.4) * rng.normal(size=(len(labels), d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def test_labels_that_teach_are_learned_from():
    x, labels = clusters(30, seed=0)
    metric, edges, report = gfr_labelled.learn(x, labels, OPTIONS, seed=0)
    assert report["labels"] and report["propagated"] > report["without_labels"] + 0.03
    assert metric.matrix.shape == (20, 20) and edges.strength == report["strength"]
    assert (report["images"], report["classes"]) == (300, 30)


def test_labels_that_do_not_are_as_if_there_were_none():
    """Of a handful of classes that are told apart well without any labels."""
    x, labels = clusters(30, seed=0)
    few = np.isin(labels, np.arange(4))
    other = gfr_labelled.without_labels(x[few], OPTIONS, seed=0)
    _, edges, report = gfr_labelled.learn(x[few], labels[few], OPTIONS, seed=0)
    assert not report["labels"] and report["with_labels"] <= report["without_labels"]
    assert edges[1:] == other[1][1:] and np.array_equal(edges.scorer.weight, other[1].scorer.weight)
    assert report["agreed"] == other[2]["agreed"]


def test_what_is_said_of_learning_without_labels_is_what_it_does():
    x, labels = clusters(30, seed=0)
    report = gfr_labelled.learn(x, labels, OPTIONS, seed=0)[2]
    metric, edges, _ = gfr_labelled.without_labels(x, OPTIONS, seed=0)
    scores = []
    for _, rows in gfr_validation.folds(labels, 0):
        h = gfr_metric.apply(metric, x[rows])
        features = gfr_edge.EdgeLayers(edges).fit(h, knn.neighbors(h, 15))
        scores.append(gfr_validation.mean_average_precision(features, labels[rows]))
    assert report["without_labels"] == pytest.approx(np.mean(scores), abs=1e-6)


def test_a_metric_that_was_asked_for_is_not_weighed_against_none():
    x, _ = clusters(30, seed=0)
    labels = np.random.RandomState(6).permutation(np.arange(300) // 10)
    for asked in ("lda", "none"):
        options = gfr_options.resolve({"neighbors": 15, "metric": asked})
        report = gfr_labelled.learn(x, labels, options, seed=0)[2]
        assert report["labels"] and "without_labels" not in report
