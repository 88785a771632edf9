"""GFR's metric: discriminant analysis against loops and properties, and how its strength is chosen."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_metric, gfr_metric_learning, gfr_options


def rows_and_labels(seed=0, n=60, d=5, classes=6):
    rng = np.random.RandomState(seed)
    labels = rng.randint(classes, size=n)
    labels[:classes] = np.arange(classes)
    spread = np.array([3.0, 1.0, 0.2, 0.2, 0.2][:d])  # noise within classes, most of it in the first direction
    x = rng.normal(size=(classes, d))[labels] + spread * rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def moments(x, labels):
    return gfr_metric.moments(*gfr_metric.sums(x, labels))


def test_moments_by_loops():
    x, labels = rows_and_labels()
    chosen = np.arange(60) % 3 > 0
    parts = gfr_metric.sums(x, labels, chosen.astype(int))
    found = gfr_metric.moments(parts[1])
    mean = np.mean([x[i] for i in range(60) if chosen[i]], axis=0)
    within, total = np.zeros((5, 5)), np.zeros((5, 5))
    for i in range(60):
        if chosen[i]:
            own = np.mean([x[j] for j in range(60) if chosen[j] and labels[j] == labels[i]], axis=0)
            within += np.outer(x[i] - own, x[i] - own) / chosen.sum()
            total += np.outer(x[i] - mean, x[i] - mean) / chosen.sum()
    for value, expected in zip(found, (mean, within, total)):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    for value, expected in zip(gfr_metric.moments(*parts), moments(x, labels)):
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_moments_of_a_memory_map_and_of_parts(tmp_path, monkeypatch):
    x, labels = rows_and_labels()
    np.save(str(tmp_path / "x.npy"), x)
    whole = moments(x, labels)
    monkeypatch.setattr(gfr_metric.features, "blocks", lambda n, d: [(i, min(i + 7, n)) for i in range(0, n, 7)])
    cut = moments(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), labels)
    for a, b in zip(whole, cut):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("strength", [0.01, 0.3, 10.0])
def test_the_shrunk_scatter_within_classes_becomes_a_sphere(strength):
    """M^T (C_w + s tr(C_w) / d I) M is a multiple of 1, and M^T C_t M is diagonal and falls."""
    x, labels = rows_and_labels()
    found = moments(x, labels)
    metric = gfr_metric.discriminant(found, strength)
    M = metric.matrix.astype(np.float64)
    sphere = M.T @ (found.within + strength * np.trace(found.within) / 5 * np.eye(5)) @ M
    np.testing.assert_allclose(sphere / sphere[0, 0], np.eye(5), atol=1e-4)
    between = M.T @ found.total @ M
    np.testing.assert_allclose(between, np.diag(np.diag(between)), atol=1e-4 * between.max())
    assert (np.diff(np.diag(between)) < 1e-6).all()
    assert np.sqrt(np.mean(M ** 2)) == pytest.approx(gfr_metric.SCALE, rel=1e-5)


def test_apply_and_wide_features(monkeypatch):
    x, labels = rows_and_labels()
    monkeypatch.setattr(gfr_metric, "DIMENSIONS", 3)
    metric = gfr_metric.discriminant(moments(x, labels), 0.1)
    h = gfr_metric.apply(metric, x)
    assert h.shape == (60, 3) and h.dtype == np.float32
    expected = (x - metric.mean) @ metric.matrix
    np.testing.assert_allclose(h, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert gfr_metric.apply(None, x) is x


def test_a_class_scatter_of_nothing_is_no_error():
    """Two images each, exact copies: no scatter within classes at all."""
    x, _ = rows_and_labels(n=20)
    metric = gfr_metric.discriminant(moments(np.repeat(x, 2, axis=0), np.repeat(np.arange(20), 2)), 0.1)
    assert np.isfinite(metric.matrix).all()


def learn(x, labels, **fields):
    return gfr_metric_learning.learn(x, labels, gfr_options.resolve(dict({"metric": "lda"}, **fields)), seed=0)


def test_the_strength_is_the_best_on_held_out_classes_and_helps_on_others():
    x, labels = rows_and_labels(n=400, classes=40)
    train = labels < 25
    found = learn(x[train], labels[train])
    assert found.report["held_out"] and found.report["metric"] > found.report["plain"] + 0.05
    assert found.report["metric_strength"] in gfr_metric_learning.STRENGTHS
    from slim_retrieval.graph.gfr_validation import mean_average_precision
    unseen, of = x[~train], labels[~train]
    moved = mean_average_precision(gfr_metric.apply(found.metric, unseen), of)
    assert moved > mean_average_precision(unseen, of) + 0.05
    # What the edges will learn from: no class in both halves, and features that the half's own classes did not make.
    (_, first), (_, second) = found.galleries
    assert not set(first) & set(second) and len(first) + len(second) == train.sum()


def test_no_metric_where_it_would_not_help_or_cannot_be_judged():
    rng = np.random.RandomState(0)
    x = rng.normal(size=(8, 20))[np.repeat(np.arange(8), 10)] + 0.01 * rng.normal(size=(80, 20))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    perfect = learn(x, np.repeat(np.arange(8), 10))
    assert perfect.metric is None and perfect.report["metric_strength"] == 0 and perfect.report["plain"] == 1
    few = learn(x, np.repeat(np.arange(2), 40))
    assert few.metric is None and not few.report["held_out"] and len(few.galleries) == 2
    assert learn(x, np.repeat(np.arange(8), 10), metric="none").metric is None
