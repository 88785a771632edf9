import sys
import types

import numpy as np
import pytest

from slim_retrieval.evaluation import report_map


def test_a_fourth_are_queries_and_small_sets_are_taken_whole():
    query, gallery = report_map.draw(["a"] * 50, ["a"] * 200, points=100)
    assert (len(query), len(gallery)) == (25, 75)
    assert (np.diff(query) > 0).all() and (np.diff(gallery) > 0).all() and gallery.max() < 200
    assert [len(rows) for rows in report_map.draw(["a"] * 50, ["b"] * 30, points=100)] == [50, 30]
    assert [len(rows) for rows in report_map.draw(["a"] * 90, ["b"] * 30, points=100)] == [70, 30]
    assert report_map.draw(["a"] * 50, ["a"] * 200, 3, 100)[1].tolist() != gallery.tolist()


def test_of_many_labels_some_come_whole():
    gallery = ["label {}".format(i // 10) for i in range(3000)] + ["single {}".format(i) for i in range(3000)]
    _, rows = report_map.draw([], gallery, points=400)
    labels, counts = np.unique([gallery[row] for row in rows], return_counts=True)
    whole = labels[counts == 10]
    assert len(rows) == 400 and report_map.LABELS <= len(whole) <= report_map.LABELS + 2
    assert all(label.startswith("label") for label in whole)


def groups(seed=0, each=20, width=80):
    """Three far groups of points, rows L2-normalised."""
    random = np.random.RandomState(seed)
    x = np.repeat(random.normal(size=(3, width)), each, axis=0) + random.normal(scale=0.1, size=(3 * each, width))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_groups_stay_together():
    features = groups()
    places = report_map.layouts(features)["t-SNE"]
    assert places.dtype.kind == "i" and places.min() == 0 and places.max() == report_map.SIDE
    for row, place in enumerate(places):
        nearest = np.argsort(np.square(places - place).sum(axis=1))[1:6]
        assert (nearest // 20 == row // 20).all()
    np.testing.assert_array_equal(places, report_map.layouts(features)["t-SNE"])


@pytest.mark.parametrize("features", [np.ones((6, 1), np.float32), np.tile([[0.6, 0.8]], (9, 1)).astype(np.float32)])
def test_equal_images_and_narrow_features(features):
    places = report_map.layouts(features)["t-SNE"]
    assert places.shape == (len(features), 2) and np.isfinite(places).all()


def test_too_few_images():
    assert report_map.layouts(groups()[:report_map.FEWEST - 1]) == {}


def test_umap_where_it_is_installed(monkeypatch):
    class UMAP:
        def __init__(self, n_neighbors, random_state, n_jobs):
            assert (n_neighbors, random_state, n_jobs) == (5, 7, 1)

        def fit_transform(self, x):
            return np.arange(2 * len(x)).reshape(len(x), 2)

    module = types.ModuleType("umap")
    module.UMAP, module.__spec__ = UMAP, types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "umap", module)
    found = report_map.layouts(groups()[:6], seed=7)
    assert list(found) == ["t-SNE", "UMAP"]
    assert found["UMAP"].tolist() == [[side, side] for side in (0, 200, 400, 600, 800, 1000)]
