"""GFR with nothing given: metric and edges, learned from labels or without, applied to classes never seen."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_validation, knn
from slim_retrieval.graph.gfr import GFR


def clusters(classes, seed, each=10, d=20):
    """Return (unit rows, labels); what differs within a class lies mostly in half of the dimensions."""
    rng = np.random.RandomState(seed)
    labels = np.repeat(np.arange(classes), each)
    x = rng.normal(size=(classes, d))[labels] + np.where(np.arange(d) % 2, 1.2, 0.4) * rng.normal(size=(len(labels), d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def gain(model, x, labels):
    return (gfr_validation.mean_average_precision(model.fit(x).gallery_, labels)
            - gfr_validation.mean_average_precision(x, labels))


def learned():
    x, labels = clusters(30, seed=0)
    return GFR(seed=1, epochs=3, neighbors=15).learn(x, np.array(["class {}".format(name) for name in labels]))


@pytest.fixture(scope="module")
def trained():
    return learned()


def test_it_serves_classes_that_it_has_never_seen(trained):
    x, labels = clusters(25, seed=5)
    assert gain(trained, x, labels) > 0.2
    assert trained.report_["labels"] and trained.report_["held_out"]
    assert trained.report_["plain"] < trained.report_["metric"] < trained.report_["propagated"]
    assert gain(GFR(metric="none", neighbors=15).learn(*clusters(30, seed=0)), x, labels) > 0.02


def test_queries_of_unseen_classes_with_and_without_neighbours(trained):
    x, labels = clusters(25, seed=5)
    asks = np.arange(len(x)) % 5 == 0
    gallery, queries = x[~asks], x[asks]
    trained.fit(gallery)
    before = trained.gallery_.copy()

    def precision(moved, of):
        order = np.argsort(-moved @ of.T, axis=1, kind="stable")
        hits = labels[~asks][order] == labels[asks][:, None]
        return np.mean(np.sum(np.cumsum(hits, 1) / np.arange(1, hits.shape[1] + 1) * hits, 1) / hits.sum(1))

    plain = precision(queries, gallery)
    assert precision(trained.transform(queries), before) > plain + 0.2
    assert precision(trained.transform(queries, alone=True), before) > plain + 0.1
    np.testing.assert_array_equal(trained.gallery_, before)
    one = np.concatenate([trained.transform(queries[i:i + 1]) for i in range(len(queries))])
    np.testing.assert_allclose(one, trained.transform(queries), atol=1e-5)
    assert trained.transform(queries[:0]).shape == (0, before.shape[1])


def test_nothing_is_changed_and_maps_are_read(trained, tmp_path):
    x, _ = clusters(10, seed=5)
    np.save(str(tmp_path / "x.npy"), x)
    mapped = np.load(str(tmp_path / "x.npy"), mmap_mode="r")  # read-only: a write would raise
    features = trained.fit(mapped).gallery_
    np.testing.assert_array_equal(mapped, x)
    np.testing.assert_array_equal(trained.fit(x).gallery_, features)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    unlabelled = GFR().learn(mapped).fit(mapped)
    np.testing.assert_allclose(np.linalg.norm(unlabelled.transform(mapped[:4]), axis=1), 1, atol=1e-5)


def test_saved_and_loaded_it_serves_another_gallery(trained, tmp_path):
    trained.save(str(tmp_path / "gfr.npz"))
    loaded, (x, _) = GFR.load(str(tmp_path / "gfr.npz")), clusters(12, seed=8)
    np.testing.assert_array_equal(loaded.fit(x).gallery_, trained.fit(x).gallery_)
    assert loaded.report_ == trained.report_ and loaded.options == trained.options
    np.testing.assert_array_equal(loaded.transform(x[:5]), trained.transform(x[:5]))


def test_the_same_seed_gives_the_same_model_and_small_galleries_work(trained):
    x, again = clusters(30, seed=0)[0], learned()
    np.testing.assert_array_equal(again.metric_.matrix, trained.metric_.matrix)
    np.testing.assert_array_equal(again.edges_.scorer.weight, trained.edges_.scorer.weight)
    for n in (0, 1, 2, 5):
        features = trained.fit(x[:n]).gallery_
        assert features.shape[0] == n and np.isfinite(trained.transform(x[-3:])).all()


def test_without_labels_and_the_graph_that_was_given():
    x, labels = clusters(25, seed=5, each=20)
    model = GFR(neighbors=15).learn(x)
    assert not model.report_["labels"] and model.metric_ is None
    assert gain(model, x, labels) > 0.02
    assert model.needed_neighbors(500) == 15
    given = model.fit(x, neighbors=knn.neighbors(x, 30)).gallery_
    np.testing.assert_allclose(given, model.fit(x).gallery_, atol=1e-6)
    singles = GFR(neighbors=15).learn(x, np.arange(len(x)))  # labels that say nothing
    assert "images" in singles.report_ and gain(singles, x, labels) > 0.02


def test_the_graph_is_only_asked_for_where_it_is_used(trained):
    assert trained.needed_neighbors(500) == 0  # neighbours are looked for behind the metric
    assert GFR(metric="none").needed_neighbors(500) == 40 and GFR().needed_neighbors(500) == 0
    assert GFR(layer="sage").needed_neighbors(5) == 4


def test_few_classes_give_edges_without_a_metric():
    x, labels = clusters(3, seed=0, each=40)
    model = GFR(neighbors=15, metric="none").learn(x, labels)
    assert model.metric_ is None and not model.report_["held_out"]
    assert gain(model, x, labels) >= 0
    assert gain(GFR(neighbors=15).learn(x, labels), x, labels) >= 0


@pytest.mark.parametrize("call, words", [
    (lambda m, x: m.fit(x[:, :5]), ["gallery features are 5 wide", "trained on 20"]),
    (lambda m, x: m.fit(x).transform(x[:, :5]), ["query features are 5 wide", "trained on 20"]),
    (lambda m, x: GFR().fit(x), ["no weights yet", "learn"]),
    (lambda m, x: m.learn(x, np.zeros(len(x))), ["labels hold 1", "at least 2"]),
])
def test_bad_input_is_refused(call, words, trained):
    with pytest.raises(InputError) as error:
        call(trained, clusters(5, seed=0)[0])
    for word in words:
        assert word in str(error.value)
