import numpy as np
import pytest

from slim_retrieval.common import files, notices
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cards, compiled, knn, knn_store


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact(gallery, k):
    products = gallery.astype(np.float64) @ gallery.T
    np.fill_diagonal(products, -2)
    return np.argsort(-products, axis=1)[:, :k]


@pytest.fixture
def no_faiss(monkeypatch):
    monkeypatch.setattr(cards, "import_faiss", lambda: None)
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
    ("auto", 1e13, "all pairs"), ("auto", 10, "lists"), ("lists", 1e13, "lists"), ("exact", 10, "all pairs"),
    ("HNSW16", 1e13, "HNSW16, efSearch")])
def test_the_index_is_chosen_by_the_number_of_products(tmp_path, monkeypatch, index, products, wanted):
    monkeypatch.setattr(knn_store, "EXACT_PRODUCTS", products)
    gallery = unit_rows(900, 4)
    ids, similarities, meta = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index=index)
    assert wanted in meta["backend"] and ("recall" in meta) == (wanted != "all pairs")
    np.testing.assert_allclose(np.einsum("nd,nkd->nk", gallery, gallery[ids]), similarities, atol=1e-5)
    assert np.mean(ids == exact(gallery, 5)) > 0.85


def test_an_approximate_graph_does_not_serve_as_an_exact_one_nor_a_poor_one_as_a_good_one(tmp_path):
    gallery = unit_rows(900, 4)
    meta = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists", recall=0.5)[2]
    assert knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists", recall=0.5)[2]["reused"] is True
    assert meta["recall"] < 1
    better = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists", recall=1.0)[2]
    assert better["reused"] is False and better["recall"] > meta["recall"]
    exact = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="exact")[2]
    assert exact["reused"] is False and "recall" not in exact
    assert knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists", recall=1.0)[2]["reused"] is True


def test_a_state_left_by_a_killed_run_is_gone_on_with_and_then_removed(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    gallery, folder = unit_rows(900, 4), tmp_path / "knn-abc"
    expected = knn_store.load_or_build(gallery, 5, str(tmp_path / "other"), "abc", index="lists")[0]
    monkeypatch.setattr(knn_store.approximate.list_join, "SECONDS", -1.0)
    monkeypatch.setattr(knn_store.approximate.list_join, "STORING", np.inf)
    monkeypatch.setattr(files, "write_array", refuse_to_build)
    with pytest.raises(AssertionError, match="built again"):
        knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists")
    assert [path.name for path in folder.iterdir()] == ["state-5-0.97.npz"]
    monkeypatch.undo()
    monkeypatch.setattr(knn_store.approximate.lists, "centroids", refuse_to_build)
    found, _, meta = knn_store.load_or_build(gallery, 5, str(tmp_path), "abc", index="lists")
    np.testing.assert_array_equal(found, expected)
    assert meta["reused"] is False and not list(folder.glob("state*"))


def test_lists_without_numba_and_faiss_and_unknown_indexes_are_refused(no_faiss, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "import_numba", lambda: None)
    with pytest.raises(InputError, match="needs numba or faiss"):
        knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc", index="lists")
    with pytest.raises(InputError, match="unknown graph.index 'listt'.*did you mean lists"):
        knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc", index="listt")
    assert knn_store.load_or_build(unit_rows(30, 4), 5, str(tmp_path), "abc")[2]["backend"] == "all pairs"
