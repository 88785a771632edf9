import numpy as np
import pytest

from slim_retrieval.common import jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cards, faiss_index

faiss = pytest.importorskip("faiss")


def clustered(n=3000, d=16, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(60, d)[random.randint(60, size=n)] + 0.4 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def sample(gallery, k):
    rows = np.arange(0, len(gallery), 20)
    products = gallery[rows].astype(np.float64) @ gallery.T
    products[np.arange(len(rows)), rows] = -2
    ids = np.argsort(-products, axis=1)[:, :k]
    return rows, (ids, np.take_along_axis(products, ids, axis=1).astype(np.float32))


@pytest.mark.parametrize("factory, effort", [(None, "nprobe"), ("HNSW16", "efSearch"), ("IVF50,PQ8x4", "nprobe"),
                                             ("Flat", None)])
def test_any_index_finds_what_was_asked_for_and_similarities_are_exact(factory, effort):
    gallery = clustered()
    rows, true = sample(gallery, 8)
    ids, similarities, about = faiss_index.neighbors(gallery, 8, factory, (rows, true), 0.9)
    assert (effort is None) == ("efSearch" not in about and "nprobe" not in about)
    assert effort is None or effort in about["backend"]
    assert not (ids == np.arange(len(ids))[:, None]).any()
    found = ids >= 0
    assert found.mean() > 0.99
    np.testing.assert_allclose(similarities[found], np.einsum("nd,nkd->nk", gallery, gallery[ids])[found], atol=1e-5)
    assert np.mean(similarities[rows] >= true[1][:, -1:] - 1e-6) >= 0.9


@pytest.mark.parametrize("factory", ["IVF20,SQ8", "Flat"])
def test_tasks_find_the_same_in_the_index_that_is_stored(tmp_path, monkeypatch, factory):
    gallery = clustered()
    arguments = gallery, 8, factory, sample(gallery, 8), 0.9
    ids, similarities, about = faiss_index.neighbors(*arguments)
    monkeypatch.setattr(faiss_index, "ROWS", 700)
    jobs.choose("threading", str(tmp_path), workers=2)
    try:
        search, ranges = faiss_index._range, []

        def watched(index, array, rows, *more):
            ranges.append(rows)
            if rows == (2100, 2800) and len(ranges) < 6:
                raise KeyError("killed")
            return search(index, array, rows, *more)

        monkeypatch.setattr(faiss_index, "_range", watched)
        with pytest.raises(KeyError, match="killed"):
            faiss_index.neighbors(*arguments, name="name")
        monkeypatch.setattr(faiss_index, "_built", None)  # the index is there
        del ranges[:]
        ranges += [None] * 6
        found = faiss_index.neighbors(*arguments, name="name")
        assert (2100, 2800) in ranges and (0, 700) not in ranges
    finally:
        jobs.choose("serial", None)
    np.testing.assert_array_equal(found[0], ids)
    np.testing.assert_array_equal(found[1], similarities)
    assert found[2] == about and not (tmp_path / "tasks").exists()


def test_an_index_that_faiss_does_not_know_is_refused():
    with pytest.raises(InputError, match="faiss does not know the index 'HNSX32'"):
        faiss_index.neighbors(clustered(300), 3, "HNSX32", sample(clustered(300), 3), 0.9)


def test_without_faiss_there_is_a_way_to_go(monkeypatch):
    monkeypatch.setattr(cards, "import_faiss", lambda: None)
    with pytest.raises(InputError, match="pip install numba"):
        faiss_index.neighbors(clustered(300), 3, None, sample(clustered(300), 3), 0.9)
