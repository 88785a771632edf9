"""How GFR's edges are learned from labels."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_edge_learning, gfr_options, gfr_scorer, knn
from slim_retrieval.graph.gfr_edge import EdgeLayers
from slim_retrieval.graph.gfr_validation import mean_average_precision as mean_precision

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
    return EdgeLayers(edges).fit(x, knn.neighbors(x, k))


def test_edges_learned_on_some_classes_serve_others():
    galleries = [chains(240, 12, seed) for seed in (0, 1)]
    edges, report, _ = gfr_edge_learning.learn(galleries, OPTIONS, seed=0)
    before = np.mean([mean_precision(x, labels) for x, labels in galleries])
    assert report["propagated"] > before + 0.05 and edges.strength == report["strength"] > 0
    # What is reported is about what these edges do: each gallery was judged with edges of the other.
    after = np.mean([mean_precision(propagated(edges, x), labels) for x, labels in galleries])
    assert report["propagated"] == pytest.approx(after, abs=0.02)
    x, labels = chains(400, 20, seed=7)
    assert mean_precision(propagated(edges, x), labels) > mean_precision(x, labels) + 0.05


def test_edges_that_do_not_help_are_not_used():
    """Labels without any relation to the features: what neighbours say is noise."""
    galleries = [(chains(200, 10, seed)[0], np.random.RandomState(seed).permutation(np.arange(200) // 2))
                 for seed in range(2)]
    edges, report, _ = gfr_edge_learning.learn(galleries, OPTIONS, seed=0)
    assert edges.strength == report["strength"] == 0
    assert report["propagated"] == pytest.approx(np.mean([mean_precision(*gallery) for gallery in galleries]))
    x = galleries[0][0]
    np.testing.assert_allclose(propagated(edges, x), x, atol=1e-6)


def test_one_gallery_or_one_class_teaches_nothing():
    x, labels = chains(200, 10, seed=0)
    assert gfr_edge_learning.learn([(x, labels)], OPTIONS, seed=0)[0].strength == 0
    assert gfr_edge_learning.learn([(x, np.zeros(200, int))] * 2, OPTIONS, seed=0)[0].strength == 0


@pytest.mark.parametrize("layers", [0, 3])
def test_the_depth_is_the_best_of_those_tried_or_as_given(layers):
    galleries = [chains(240, 12, seed) for seed in (0, 1)]
    options = gfr_options.resolve({"neighbors": 15, "layers": layers})
    edges, report, _ = gfr_edge_learning.learn(galleries, options, seed=0)
    assert report["layers"] == edges.layers
    if layers:
        assert edges.layers == layers
        return
    one = gfr_edge_learning.learn(galleries, gfr_options.resolve({"neighbors": 15, "layers": 1}), seed=0)[1]
    assert edges.layers in gfr_edge_learning.DEPTHS and report["propagated"] > one["propagated"]


def test_large_galleries_are_sampled(monkeypatch):
    galleries = [chains(240, 12, seed) for seed in range(2)]
    whole = gfr_edge_learning.learn(galleries, OPTIONS, seed=0)[0]
    monkeypatch.setattr(gfr_edge_learning, "MOST_PAIRS", 900)
    some = gfr_edge_learning.learn(galleries, OPTIONS, seed=0)[0]
    assert some.strength > 0 and not np.array_equal(some.scorer.weight, whole.scorer.weight)


def test_no_pair_or_every_pair_gives_no_scorer():
    rows = np.random.RandomState(0).normal(size=(10, 3))
    assert gfr_edge_learning.fit([rows], [np.zeros(10, bool)], np.random.RandomState(0)) is None
    assert gfr_edge_learning.fit([rows], [np.ones(10, bool)], np.random.RandomState(0)) is None
    mixed = gfr_edge_learning.fit([rows], [np.arange(10) < 5], np.random.RandomState(0))
    assert isinstance(mixed, gfr_scorer.Scorer)
