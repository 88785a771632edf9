"""GFR as an estimator with the published layers: fit, transform. Weights are random; training: test_gfr_training.py."""
import subprocess
import sys

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_layer, gfr_layers
from slim_retrieval.graph.gfr import GFR


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def untrained(width=6, block=4096, **fields):
    """Return a GFR of the published layers with random weights, as if it had learned."""
    model = GFR(block=block, layer="sage", **fields)
    model.weights_, model.width_ = gfr_layers.initial(width, model.options, seed=1), width
    return model


def nearest(queries, gallery, k, drop=None):
    """Return each query's k best gallery ids by sorting everything; `drop[i]` is left out for query i."""
    similarity = queries @ gallery.T
    if drop is not None:
        similarity[np.arange(len(queries)), drop] = -2
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


RICH = {"layers": 2, "neighbors": 3, "weighted": True, "activate": True, "residue": True, "concate": True,
        "combine": True}


def slow_mean_layer(own, near_rows, P, W):
    """h of one node by hand for aggregate mean and no other option."""
    h = np.mean([row @ P for row in [own] + list(near_rows)], axis=0) @ W
    return h / np.linalg.norm(h)


def test_two_layers_of_gallery_and_query_by_hand():
    """A query's second layer sees its own first output and the first outputs that the gallery had without it."""
    gallery, query = unit_rows(8, 4), unit_rows(1, 4, seed=5)
    model = untrained(4, layers=2, neighbors=2, aggregate="mean").fit(gallery)
    (P0, W0), (P1, W1) = [[pair[name].astype(np.float64) for name in "PW"] for pair in model.weights_]
    near, near_query = nearest(gallery, gallery, 2, drop=np.arange(8)), nearest(query, gallery, 2)[0]
    first = np.array([slow_mean_layer(gallery[i], gallery[near[i]], P0, W0) for i in range(8)])
    second = np.array([slow_mean_layer(first[i], first[near[i]], P1, W1) for i in range(8)])
    np.testing.assert_allclose(model.gallery_, second, atol=2e-6)
    query_first = slow_mean_layer(query[0], gallery[near_query], P0, W0)
    query_second = slow_mean_layer(query_first, first[near_query], P1, W1)
    np.testing.assert_allclose(model.transform(query)[0], query_second, atol=2e-6)


@pytest.mark.parametrize("fields", [RICH, {"neighbors": 3}, {"neighbors": 3, "layers": 2, "residue": True}], ids=str)
def test_a_query_equal_to_a_gallery_image_gets_its_feature(fields):
    """Where query and image have the same neighbours, `transform` and `fit` are two ways to one value."""
    gallery = unit_rows(20, 6)
    near = nearest(gallery, gallery, 3, drop=np.arange(20))
    model = untrained(**fields).fit(gallery, neighbors=(near, None))
    moved = model.transform(gallery[4:9], neighbors=(near[4:9], None))
    np.testing.assert_allclose(moved, model.gallery_[4:9], atol=1e-6)


def test_given_neighbours_are_cut_to_k_and_self_is_dropped_by_id():
    gallery = unit_rows(30, 6)
    ten = nearest(gallery, gallery, 10, drop=np.arange(30))
    expected = untrained(neighbors=4).fit(gallery).gallery_
    np.testing.assert_array_equal(untrained(neighbors=4).fit(gallery, neighbors=(ten, None)).gallery_, expected)
    with_self = np.concatenate([np.arange(30)[:, None], ten], axis=1)
    both = untrained(neighbors=5, aggregate="mean").fit(gallery, neighbors=(with_self, None))
    np.testing.assert_allclose(both.gallery_, untrained(neighbors=4, aggregate="mean").fit(gallery).gallery_, atol=1e-6)


def test_duplicates_are_neighbours_of_each_other():
    """Self need not come first among duplicates: the images' own ids must be dropped, not their first neighbours."""
    x = unit_rows(3, 6)
    gallery = np.repeat(x, 4, axis=0)
    features = untrained(neighbors=3, aggregate="mean").fit(gallery).gallery_
    P, W = untrained().weights_[0].values()
    np.testing.assert_allclose(features, np.repeat(gfr_layer.normalise(x @ P @ W), 4, axis=0), atol=1e-6)


def test_blocks_do_not_change_results():
    gallery, queries = unit_rows(23, 6), unit_rows(7, 6, seed=1)
    whole, cut = untrained(**RICH).fit(gallery), untrained(block=5, **RICH).fit(gallery)
    np.testing.assert_allclose(cut.gallery_, whole.gallery_, atol=1e-6)
    np.testing.assert_allclose(cut.transform(queries), whole.transform(queries), atol=1e-6)


def test_reordering_the_gallery_reorders_its_features():
    gallery, queries = unit_rows(40, 6), unit_rows(5, 6, seed=1)
    order = np.random.RandomState(2).permutation(40)
    model, shuffled = untrained(**RICH).fit(gallery), untrained(**RICH).fit(gallery[order])
    np.testing.assert_allclose(shuffled.gallery_, model.gallery_[order], atol=1e-5)
    np.testing.assert_allclose(shuffled.transform(queries), model.transform(queries), atol=1e-5)


@pytest.mark.parametrize("fields", [{}, RICH], ids=str)
def test_inputs_stay_as_they_were_and_output_is_unit_float32(fields, tmp_path):
    np.save(str(tmp_path / "gallery.npy"), unit_rows(20, 6))
    gallery = np.load(str(tmp_path / "gallery.npy"), mmap_mode="r")  # read-only: a write would raise
    queries = unit_rows(4, 6, seed=1)
    near = nearest(gallery, gallery, 10)
    before = queries.copy(), near.copy()
    model = untrained(**fields).fit(gallery, neighbors=(near, None))
    result = model.transform(queries)
    np.testing.assert_array_equal(queries, before[0])
    np.testing.assert_array_equal(near, before[1])
    np.testing.assert_array_equal(gallery, unit_rows(20, 6))
    for features in (result, model.gallery_):
        assert features.dtype == np.float32
        assert features.shape[1] == (18 if fields else 6)
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.transform(queries), result)


@pytest.mark.parametrize("concate", [False, True])
def test_queries_without_neighbours_pass_through_the_same_weights(concate):
    queries = unit_rows(4, 6, seed=1)
    model = untrained(concate=concate)
    P, W = model.weights_[0].values()
    z = queries @ P
    expected = gfr_layer.normalise((np.concatenate([queries, z], axis=1) if concate else z) @ W)
    empty = model.fit(np.zeros((0, 6), np.float32))
    assert empty.gallery_.shape == (0, 6)
    np.testing.assert_allclose(empty.transform(queries), expected, atol=1e-6)
    model.fit(unit_rows(20, 6))
    np.testing.assert_allclose(model.transform(queries, alone=True), expected, atol=1e-6)
    np.testing.assert_allclose(model.transform(queries, neighbors=(np.full((4, 10), -1), None)), expected, atol=1e-6)
    assert np.abs(model.transform(queries) - expected).max() > 0.01


def test_small_galleries():
    """A gallery of one image has no neighbours; one of three has two, fewer than k."""
    one = unit_rows(1, 6)
    model = untrained(neighbors=10)
    P, W = model.weights_[0].values()
    np.testing.assert_allclose(model.fit(one).gallery_, gfr_layer.normalise(one @ P @ W), atol=1e-6)
    three = unit_rows(3, 6)
    same = gfr_layer.normalise(np.tile((three @ P).max(axis=0), (3, 1)) @ W)  # everyone sees all three
    np.testing.assert_allclose(model.fit(three).gallery_, same, atol=1e-6)
    assert model.transform(np.zeros((0, 6), np.float32)).shape == (0, 6)


def test_missing_file_and_missing_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file .*gfr.npz; train a GFR first"):
        GFR.load(str(tmp_path / "gfr.npz"))
    with pytest.raises(InputError, match="no weights yet; call learn, or load"):
        GFR().fit(unit_rows(5, 6))
    with pytest.raises(InputError, match="no weights to save"):
        GFR().save(str(tmp_path / "gfr.npz"))
    with pytest.raises(InputError, match="no gallery yet; call fit first"):
        untrained().transform(unit_rows(5, 6))


@pytest.mark.parametrize("call, words", [
    (lambda m, x: m.fit(x[:, :5]), ["gallery features are 5 wide", "trained on 6"]),
    (lambda m, x: m.fit(np.where(x == x[3, 2], np.nan, x)), ["gallery", "row 3", "NaN"]),
    (lambda m, x: m.fit(x[0]), ["gallery", "[6]"]),
    (lambda m, x: m.fit(x, neighbors=(np.zeros((20, 9), int), None)), ["(20, 9)", "20 rows", "10 columns"]),
    (lambda m, x: m.fit(x, neighbors=(np.zeros((19, 10), int), None)), ["(19, 10)", "20 rows"]),
    (lambda m, x: m.fit(x, neighbors=(np.full((20, 10), 20), None)), ["from 20 to 20", "20 images"]),
    (lambda m, x: m.fit(x, neighbors=(np.full((20, 10), -2), None)), ["from -2 to -2", "20 images"]),
    (lambda m, x: m.fit(x, neighbors=(np.zeros((20, 10)), None)), ["float64", "ids"]),
    (lambda m, x: m.fit(x).transform(x[:, :5]), ["query features are 5 wide", "trained on 6"]),
    (lambda m, x: m.fit(x).transform(x[:2], neighbors=(np.full((2, 10), 20), None)), ["from 20 to 20", "20 images"]),
])
def test_bad_input_is_refused(call, words):
    with pytest.raises(InputError) as error:
        call(untrained(), unit_rows(20, 6))
    for word in words:
        assert word in str(error.value)


def test_applying_gfr_does_not_import_tensorflow(tmp_path):
    untrained().save(str(tmp_path / "gfr.npz"))
    code = ("import sys, numpy as np; from slim_retrieval.graph.gfr import GFR; "
            "m = GFR.load(sys.argv[1]).fit(np.eye(6, dtype='float32')); m.transform(np.eye(6, dtype='float32')); "
            "bad = [n for n in sys.modules if n.split('.')[0] in ('tensorflow', 'tf_slim', 'tf_keras')]; "
            "sys.exit('imported ' + bad[0] if bad else 0)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "gfr.npz")], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
