import numpy as np
import pytest

from slim_retrieval.common import notices
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import knn, knn_store


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact(gallery, k):
    products = gallery.astype(np.float64) @ gallery.T
    np.fill_diagonal(products, -2)
    return np.argsort(-products, axis=1)[:, :k]


@pytest.fixture
def no_faiss(monkeypatch):
    monkeypatch.setattr(knn, "import_faiss", lambda: None)
    monkeypatch.setattr(notices, "_said", set())


def refuse_to_build(*_):
    raise AssertionError("built again")


def test_a_stored_graph_is_reused_and_cut(tmp_path, monkeypatch):
    gallery = unit_rows(30, 4)
    ids, similarities, meta = knn_store.load_or_build(gallery, 8, str(tmp_path), "abc")
    assert meta["reused"] is False and meta["k"] == 8 and meta["n"] == 30 and meta["seconds"] > 0
    monkeypatch.setattr(knn, "neighbors", refuse_to_build)
    for k in (8, 3):
        again_ids, again_similarities, again = knn_store.load_or_build(gallery, k, str(tmp_path), "abc")
        assert again["reused"] is True and again["seconds"] == meta["seconds"]
        np.testing.assert_array_equal(again_ids, exact(gallery, k))
        np.testing.assert_array_equal(again_similarities, similarities[:, :k])


@pytest.mark.parametrize("spoil", ["hash", "k", "n", "meta", "json", "ids", "shape"])
def test_a_graph_that_does_not_fit_is_built_again(tmp_path, spoil):
    gallery = unit_rows(30, 4)
    knn_store.load_or_build(gallery, 5, str(tmp_path), "abc")
    folder, k, name = tmp_path / "knn-abc", 5, "abc"
    if spoil == "hash":
        folder.rename(tmp_path / "knn-other")
        name = "other"
    elif spoil == "k":
        k = 6
    elif spoil == "n":
        gallery = gallery[:20]
    elif spoil == "meta":
        (folder / "meta.json").unlink()
    elif spoil == "json":
        (folder / "meta.json").write_text('{"n": 30')
    elif spoil == "ids":
        (folder / "ids.npy").write_bytes((folder / "ids.npy").read_bytes()[:150])
    else:
        np.save(str(folder / "ids.npy"), np.zeros((30, 4), np.int32))
    ids, _, meta = knn_store.load_or_build(gallery, k, str(tmp_path), name)
    assert meta["reused"] is False
    np.testing.assert_array_equal(ids, exact(gallery, k))
    assert knn_store.load_or_build(gallery, k, str(tmp_path), name)[2]["reused"] is True


def test_k_is_cut_to_the_other_images(tmp_path):
    ids, _, meta = knn_store.load_or_build(unit_rows(4, 3), 100, str(tmp_path), "abc")
    assert ids.shape == (4, 3) and meta["k"] == 3 and ids.min() >= 0


@pytest.mark.parametrize("index, products, wanted", [
    ("auto", 1e13, "faiss"), ("auto", 10, "ivf"), ("ivf", 1e13, "ivf"), ("exact", 10, "faiss")])
def test_the_index_is_chosen_by_the_number_of_products(tmp_path, monkeypatch, index, products, wanted):
    monkeypatch.setattr(knn_store, "EXACT_PRODUCTS", products)
    gallery = unit_rows(900, 4)
    ids, similarities, meta = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index=index)
    assert wanted in meta["backend"] and ("recall" in meta) == (wanted == "ivf")
    np.testing.assert_allclose(np.einsum("nd,nkd->nk", gallery, gallery[ids]), similarities, atol=1e-5)
    assert np.mean(ids == exact(gallery, 5)) > 0.85


def test_an_approximate_graph_does_not_serve_as_an_exact_one_nor_a_poor_one_as_a_good_one(tmp_path):
    gallery = unit_rows(900, 4)
    meta = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="ivf", recall=0.5)[2]
    assert knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="ivf", recall=0.5)[2]["reused"] is True
    assert meta["recall"] < 1
    better = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="ivf", recall=1.0)[2]
    assert better["reused"] is False and better["probes"] > meta["probes"]
    exact = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="exact")[2]
    assert exact["reused"] is False and "recall" not in exact
    assert knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="ivf", recall=1.0)[2]["reused"] is True


def test_ivf_without_faiss_and_unknown_indexes_are_refused(no_faiss, tmp_path):
    with pytest.raises(InputError, match="graph.index ivf needs faiss"):
        knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc", index="ivf")
    with pytest.raises(InputError, match="unknown graph.index 'ivff'.*did you mean ivf"):
        knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc", index="ivff")
    assert knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc")[2]["backend"] == "numpy"
