"""How GFR's edges are learned, with labels and without."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_edge_learning, gfr_options, gfr_scorer, gfr_validation, knn
from slim_retrieval.graph.gfr_edge import EdgeLayers

OPTIONS = gfr_options.resolve({"neighbors": 15})


def chains(n, classes, seed, d=24, noise=0.25):
    """Return (unit rows, labels): each class is a long arc, so its ends are far from each other."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    ends = rng.normal(size=(2, classes, d))
    share = rng.rand(n)[:, None]
    x = share * ends[0][labels] + (1 - share) * ends[1][labels] + noise * rng.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def propagated(edges, x, k=15):
    return EdgeLayers(edges, OPTIONS.layers).fit(x, knn.neighbors(x, k))


def test_edges_learned_on_some_classes_serve_others():
    galleries = [chains(240, 12, seed) for seed in (0, 1)]
    edges, report = gfr_edge_learning.learn(galleries, OPTIONS, seed=0)
    before = gfr_validation.score(galleries)
    assert report["propagated"] > before + 0.05 and edges.strength == report["strength"] > 0
    # What is reported is what these edges do.
    after = gfr_validation.score([(propagated(edges, x), labels) for x, labels in galleries])
    assert report["propagated"] == pytest.approx(after, abs=1e-6)
    x, labels = chains(400, 20, seed=7)
    assert (gfr_validation.mean_average_precision(propagated(edges, x), labels)
            > gfr_validation.mean_average_precision(x, labels) + 0.05)


def test_edges_that_do_not_help_are_not_used():
    """Labels without any relation to the features: what neighbours say is noise."""
    x, _ = chains(200, 10, seed=0)
    labels = np.random.RandomState(0).permutation(np.arange(200) // 2)
    edges, report = gfr_edge_learning.learn([(x, labels)], OPTIONS, seed=0)
    before = gfr_validation.mean_average_precision(x, labels)
    assert report["propagated"] >= before
    assert gfr_validation.mean_average_precision(propagated(edges, x), labels) >= before - 1e-9
    everyone = gfr_edge_learning.learn([(x, np.zeros(200, int))], OPTIONS, seed=0)[0]
    assert everyone.strength == 0
    np.testing.assert_allclose(propagated(everyone, x), x, atol=1e-6)


def test_without_labels_the_two_views_teach_each_other(tmp_path):
    x, labels = chains(400, 20, seed=3)
    np.save(str(tmp_path / "x.npy"), x)
    edges, report = gfr_edge_learning.learn_unlabelled(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), OPTIONS, seed=0)
    assert edges[1:] == gfr_edge_learning.UNLABELLED and report["images"] == 400
    assert (gfr_validation.mean_average_precision(propagated(edges, x), labels)
            > gfr_validation.mean_average_precision(x, labels) + 0.05)
    again = gfr_edge_learning.learn_unlabelled(x, OPTIONS, seed=0)[0]
    np.testing.assert_array_equal(again.scorer.weight, edges.scorer.weight)
    assert not np.array_equal(gfr_edge_learning.learn_unlabelled(x, OPTIONS, seed=1)[0].scorer.weight,
                              edges.scorer.weight)


def test_large_galleries_are_sampled(monkeypatch):
    x, labels = chains(400, 20, seed=3)
    monkeypatch.setattr(gfr_edge_learning, "MOST_IMAGES", 200)
    monkeypatch.setattr(gfr_edge_learning, "MOST_PAIRS", 900)
    edges, report = gfr_edge_learning.learn_unlabelled(x, OPTIONS, seed=0)
    assert report["images"] == 200
    assert gfr_edge_learning.learn([(x, labels)], OPTIONS, seed=0)[0].strength > 0


@pytest.mark.parametrize("x", [np.eye(8, dtype=np.float32), np.ones((40, 1), np.float32)])
def test_what_cannot_teach_leaves_features_as_they_are(x):
    edges, report = gfr_edge_learning.learn_unlabelled(x, OPTIONS, seed=0)
    assert "too small" in report["note"]
    np.testing.assert_allclose(propagated(edges, x, min(15, len(x) - 1)), x, atol=1e-6)


def test_exact_copies_stay_together_and_apart_from_others():
    x = np.tile(np.float32([[1, 0, 0, 0], [0, 0, 1, 0]]), (20, 1)) + np.float32(0.01)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    moved = propagated(gfr_edge_learning.learn_unlabelled(x, OPTIONS, seed=0)[0], x)
    similarity = moved @ moved.T
    same = np.arange(40)[:, None] % 2 == np.arange(40) % 2
    assert np.isfinite(moved).all() and similarity[same].min() > similarity[~same].max() + 0.5


def test_mutual_by_sets(monkeypatch):
    monkeypatch.setattr(gfr_edge_learning, "STRICT", 3)
    ids = knn.neighbors(chains(30, 3, seed=0)[0], 8)[0]
    rows = np.array([2, 9, 20])
    found = gfr_edge_learning.mutual(ids, rows, ids[rows])
    expected = [[j in ids[i, :3] and i in ids[j, :3] for j in ids[i]] for i in rows]
    np.testing.assert_array_equal(found, expected)
    assert found.any() and not found.all()


def test_no_pair_or_every_pair_gives_no_scorer():
    rows = np.random.RandomState(0).normal(size=(10, 3))
    assert gfr_edge_learning._fit([rows], [np.zeros(10, bool)], np.random.RandomState(0)) is None
    assert gfr_edge_learning._fit([rows], [np.ones(10, bool)], np.random.RandomState(0)) is None
    mixed = gfr_edge_learning._fit([rows], [np.arange(10) < 5], np.random.RandomState(0))
    assert isinstance(mixed, gfr_scorer.Scorer)
