import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import approximate, compiled, faiss_index, knn, lists


def clustered(n=3000, d=12, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(60, d)[random.randint(60, size=n)] + 0.4 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def true_share(gallery, ids, k):
    """The share of each row's true neighbours that is among `ids`, over all rows."""
    products = gallery.astype(np.float64) @ gallery.T
    np.fill_diagonal(products, -2)
    best = np.argsort(-products, axis=1)[:, :k]
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(best, ids)])


@pytest.fixture(params=["lists", "faiss"], autouse=True)
def engine(request, monkeypatch):
    """Joined lists, and what is taken in their place without Numba."""
    pytest.importorskip("numba" if request.param == "lists" else "faiss")
    if request.param == "faiss":
        monkeypatch.setattr(compiled, "import_numba", lambda: None)
    return request.param


@pytest.mark.parametrize("recall", [0.5, 0.95])
def test_the_recall_told_is_about_the_true_one_and_about_what_was_asked(recall):
    gallery = clustered()
    ids, similarities, about = approximate.neighbors(gallery, 10, recall)
    share = true_share(gallery, ids, 10)
    assert share >= recall - 0.03 and abs(share - about["recall"]) < 0.04 and share < 1
    np.testing.assert_allclose(similarities, np.einsum("nd,nkd->nk", gallery, gallery[ids]), atol=1e-5)
    assert not (ids == np.arange(3000)[:, None]).any() and (np.diff(similarities, axis=1) <= 0).all()


def test_a_recall_of_one_looks_at_as_many_lists_as_it_takes():
    gallery = clustered(1500)
    ids, similarities, about = approximate.neighbors(gallery, 7, 1.0)
    assert about["recall"] > 0.995 and true_share(gallery, ids, 7) > 0.995


def test_rows_that_find_too_few_are_searched_exactly(monkeypatch, engine):
    """Lists of a row and its duplicate: the one list that is looked at gives one neighbour of three."""
    for module in (lists, faiss_index):
        monkeypatch.setattr(module, "TRAIN", 2)
    gallery = np.repeat(np.eye(40, dtype=np.float32), 2, axis=0)
    ids, similarities, about = approximate.neighbors(gallery, 3, 0.01)
    assert about["probes" if engine == "lists" else "nprobe"] == 1
    np.testing.assert_array_equal(similarities, [[1, 0, 0]] * 80)
    np.testing.assert_array_equal(ids[:, 0], np.arange(80) + np.tile([1, -1], 40))
    assert ids.min() >= 0 and all(len(set(row)) == 3 for row in ids) and not (ids == np.arange(80)[:, None]).any()


@pytest.mark.parametrize("recall", [0, 1.5])
def test_a_recall_out_of_range_is_refused(recall):
    with pytest.raises(InputError, match="graph.recall is {}; it must be above 0".format(recall)):
        approximate.neighbors(clustered(200), 3, recall)


def test_similarities_are_those_of_the_exact_graph_where_ids_are():
    gallery = clustered(2000)
    ids, similarities, _ = approximate.neighbors(gallery, 5, 0.9)
    exact_ids, exact = knn.neighbors(gallery, 5)
    same = ids == exact_ids
    assert same.mean() > 0.8
    np.testing.assert_allclose(similarities[same], exact[same], atol=1e-5)
