"""How GFR's edges are learned without labels, and that noise teaches nothing."""
import numpy as np
import pytest

from slim_retrieval.graph import gfr_edge_learning, gfr_edge_unlabelled, gfr_options, knn
from slim_retrieval.graph.gfr import GFR
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


def test_without_labels_the_two_views_teach_each_other(tmp_path):
    x, labels = chains(400, 20, seed=3)
    np.save(str(tmp_path / "x.npy"), x)
    edges, report = gfr_edge_unlabelled.learn(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), None, OPTIONS,
                                              seed=0)
    assert edges[1:] == gfr_edge_unlabelled.PROPAGATION + (48,) and report["images"] == 400
    assert (mean_precision(propagated(edges, x), labels)
            > mean_precision(x, labels) + 0.05)
    again = gfr_edge_unlabelled.learn(x, None, OPTIONS, seed=0)[0]
    np.testing.assert_array_equal(again.scorer.weight, edges.scorer.weight)
    assert not np.array_equal(gfr_edge_unlabelled.learn(x, None, OPTIONS, seed=1)[0].scorer.weight,
                              edges.scorer.weight)


def test_large_galleries_are_sampled(monkeypatch):
    x, _ = chains(400, 20, seed=3)
    monkeypatch.setattr(gfr_edge_unlabelled, "MOST_IMAGES", 200)
    monkeypatch.setattr(gfr_edge_learning, "MOST_PAIRS", 900)
    edges, report = gfr_edge_unlabelled.learn(x, None, OPTIONS, seed=0)
    assert report["images"] == 200
    assert edges.strength > 0


@pytest.mark.parametrize("x", [np.eye(8, dtype=np.float32), np.ones((40, 1), np.float32)])
def test_what_cannot_teach_leaves_features_as_they_are(x):
    edges, report = gfr_edge_unlabelled.learn(x, None, OPTIONS, seed=0)
    assert "are too few" in report["note"]
    np.testing.assert_allclose(propagated(edges, x, min(15, len(x) - 1)), x, atol=1e-6)


def test_exact_copies_stay_together_and_apart_from_others():
    x = np.tile(np.float32([[1, 0, 0, 0], [0, 0, 1, 0]]), (20, 1)) + np.float32(0.01)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    moved = propagated(gfr_edge_unlabelled.learn(x, None, OPTIONS, seed=0)[0], x)
    similarity = moved @ moved.T
    same = np.arange(40)[:, None] % 2 == np.arange(40) % 2
    assert np.isfinite(moved).all() and similarity[same].min() > similarity[~same].max() + 0.5


def test_mutual_by_sets(monkeypatch):
    monkeypatch.setattr(gfr_edge_unlabelled, "STRICT", 3)
    ids = knn.neighbors(chains(30, 3, seed=0)[0], 8)[0]
    rows = np.array([2, 9, 20])
    found = gfr_edge_unlabelled.mutual(ids, rows, ids[rows])
    expected = [[j in ids[i, :3] and i in ids[j, :3] for j in ids[i]] for i in rows]
    np.testing.assert_array_equal(found, expected)
    assert found.any() and not found.all()


def noise(n=600, d=32, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_a_graph_without_signal_is_not_used(seed):
    """Isotropic noise: what one half of the dimensions calls near says nothing about the other half."""
    x = noise(seed=seed)
    model = GFR(seed=seed).learn(x).fit(x)
    np.testing.assert_array_equal(np.argsort(-model.transform(x[:20]) @ model.gallery_.T, axis=1, kind="stable"),
                                  np.argsort(-x[:20] @ x.T, axis=1, kind="stable"))
    assert "chance gives" in model.report_["chosen"]["propagation"]


def test_what_all_features_have_in_common_is_taken_away_and_stays_with_the_weights(tmp_path):
    x = chains(400, 20, seed=3)[0]
    shifted = x + np.float32(0.2)
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    model = GFR(neighbors=15).learn(shifted)
    mean = shifted.mean(axis=0)
    np.testing.assert_allclose(model.metric_.mean, mean, atol=1e-6)
    model.save(str(tmp_path / "w.npz"))
    loaded, part = GFR.load(str(tmp_path / "w.npz")), shifted[:100]
    centred = part - mean
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    expected = EdgeLayers(model.edges_).fit(centred, knn.neighbors(centred, 15))
    np.testing.assert_allclose(loaded.fit(part).gallery_, expected, atol=1e-5)
    assert "of norm {:.2f}, is taken away".format(np.linalg.norm(mean)) in loaded.report_["chosen"]["centring"]
    assert GFR(neighbors=15).learn(x).metric_ is None


def test_agreement_by_sets(monkeypatch):
    monkeypatch.setattr(gfr_edge_unlabelled, "STRICT", 3)
    x = chains(40, 4, seed=0)[0]
    lists = [knn.neighbors(x[:, half::2] / np.linalg.norm(x[:, half::2], axis=1, keepdims=True), 8)[0]
             for half in (0, 1)]
    rows = np.array([1, 5, 17, 30, 39])
    pairs = [{(i, j) for i in range(40) for j in ids[i, :3] if i in ids[j, :3]} for ids in lists]
    own = [{pair for pair in view if pair[0] in rows} for view in pairs]
    agreed, chance, _ = gfr_edge_unlabelled.agreement(*lists, rows=rows)
    assert agreed == pytest.approx(len(own[0] & pairs[1]) / len(own[0])) and 0 < agreed < 1
    assert chance == pytest.approx(len(own[1]) / (5 * 39))
    assert gfr_edge_unlabelled.agreement(*lists, rows=np.arange(40))[2]
    assert not gfr_edge_unlabelled.agreement(lists[0], knn.neighbors(noise(40), 8)[0], rows=np.arange(40))[2]
