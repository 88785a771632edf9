"""What is asked of a graphics card, by a stand-in for faiss that has one: it computes in NumPy, and refuses likewise.

tests/test_gpu.py asks a real one.
"""
import types

import numpy as np
import pytest

from slim_retrieval.common import notices
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cards, faiss_index, knn, knn_store

faiss = pytest.importorskip("faiss")


class OnCard:
    """An index on a card: no faiss.ParameterSpace knows it."""

    def __init__(self, index, room):
        self._index, self._room = index, room
        self.is_trained, self.train = index.is_trained, index.train

    def add(self, rows):
        if self._index.ntotal + len(rows) > self._room:
            raise RuntimeError("Error in void add() at /faiss/gpu/x.cpp:12: Error: out of memory")
        self._index.add(rows)

    def search(self, queries, k):
        assert k <= cards.MOST and self._index.nprobe <= cards.MOST
        return self._index.search(queries, k)


class Parameters:
    def set_index_parameter(self, index, name, value):
        if isinstance(index, OnCard) and name == "nprobe":
            index._index.nprobe = value
        elif isinstance(index, OnCard):
            raise RuntimeError("no such parameter")
        else:
            faiss.ParameterSpace().set_index_parameter(index, name, value)


@pytest.fixture()
def card(monkeypatch):
    """Put the stand-in in faiss's place; `used` counts what it is asked for, `room` is the rows that it can hold."""
    def to_all(index):
        if not isinstance(index, faiss.IndexIVF):
            raise RuntimeError("Error in clone_Index(x) at /gpu/GpuCloner.cpp:1: This index type is not implemented")
        fake.used["index"] += 1
        return OnCard(index, fake.room)

    def knn_gpu(resources, queries, gallery, k, metric):
        assert resources == "card" and metric == faiss.METRIC_INNER_PRODUCT and k <= min(cards.MOST, len(gallery))
        fake.used["search"] += 1
        products = queries @ gallery.T
        ids = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(products, ids, axis=1), ids

    fake = types.SimpleNamespace(
        used={"index": 0, "search": 0}, room=10**9, get_num_gpus=lambda: 1, StandardGpuResources=lambda: "card",
        METRIC_INNER_PRODUCT=faiss.METRIC_INNER_PRODUCT, index_factory=faiss.index_factory, knn_gpu=knn_gpu,
        ParameterSpace=faiss.ParameterSpace, GpuParameterSpace=Parameters, index_cpu_to_all_gpus=to_all)
    monkeypatch.setattr(cards, "import_faiss", lambda: fake)
    return fake


def rows(n=600, d=16):
    random = np.random.RandomState(0)
    made = random.randn(40, d)[random.randint(40, size=n)] + 0.4 * random.randn(n, d)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_exact_search_takes_the_card_where_there_is_enough_to_do(card, monkeypatch):
    gallery = rows()
    expected = knn.neighbors(gallery, 7)
    assert card.used["search"] == 0
    monkeypatch.setattr(cards, "WORTH", 1)
    monkeypatch.setattr(cards, "PIECE", 4 * 16 * 250)  # three pieces of the gallery
    monkeypatch.setattr(cards, "BLOCK", 4 * 16 * 400)  # two blocks of queries
    found = knn.neighbors(gallery, 7, block=100)
    assert card.used["search"] == 6
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)
    monkeypatch.setattr(cards, "MOST", 7)  # with itself eight are asked for
    np.testing.assert_array_equal(knn.neighbors(gallery, 7)[0], expected[0])
    assert card.used["search"] == 6


def test_auto_is_exact_for_more_images_where_there_is_a_card(card, monkeypatch, tmp_path):
    gallery = rows()
    monkeypatch.setattr(knn_store, "EXACT_PRODUCTS", 1e3)
    monkeypatch.setattr(cards, "WORTH", 1)
    meta = knn_store.load_or_build(gallery, 7, str(tmp_path / "a"), "key")[2]
    assert meta["backend"] == "all pairs on a graphics card" and "recall" not in meta
    monkeypatch.setattr(knn_store, "EXACT_ON_CARD", 2e3)
    assert "recall" in knn_store.load_or_build(gallery, 7, str(tmp_path / "b"), "key")[2]


def truth(gallery, k):
    some = np.arange(0, len(gallery), 5)
    ids, similarities = knn.search(gallery[some], gallery, k + 1)
    return some, (ids[:, 1:], similarities[:, 1:])


def test_an_inverted_file_on_a_card_looks_as_far_as_is_needed(card, monkeypatch):
    gallery = rows()
    _, similarities, about = faiss_index.neighbors(gallery, 5, "IVF16,Flat", truth(gallery, 5), 0.97)
    assert card.used["index"] == 1 and about["nprobe"] > 1
    assert knn.share_found(similarities[::5], truth(gallery, 5)[1][1]) >= 0.97
    monkeypatch.setattr(cards, "MOST", 6)  # of sixteen lists
    assert faiss_index.neighbors(gallery, 5, "IVF16,Flat", truth(gallery, 5), 1.0)[2]["nprobe"] == 4


def test_what_a_card_cannot_do_stays_on_the_cpu_and_is_said(card, monkeypatch, capsys):
    monkeypatch.setattr(notices, "_said", set())
    gallery = rows()
    about = faiss_index.neighbors(gallery, 5, "HNSW8", truth(gallery, 5), 0.9)[2]
    assert "efSearch" in about and card.used["index"] == 0
    assert "graph.index HNSW8 stays on the CPU: This index type is not implemented\n" in capsys.readouterr().out
    monkeypatch.setattr(cards, "MOST", 5)
    faiss_index.neighbors(gallery, 5, "IVF16,Flat", truth(gallery, 5), 0.9)
    assert card.used["index"] == 0 and "has 6 neighbours and a card finds 5 at most" in capsys.readouterr().out


def test_an_index_that_the_card_cannot_hold_is_refused_with_what_to_do(card):
    card.room = 100
    with pytest.raises(InputError, match="IVF16,Flat of 600 x 16 .*out of memory.*CUDA_VISIBLE_DEVICES=-1"):
        faiss_index.neighbors(rows(), 5, "IVF16,Flat", truth(rows(), 5), 0.9)


def test_faiss_that_cannot_be_loaded_is_as_none_and_is_said(monkeypatch, capsys):
    import builtins
    importing = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "faiss":
            raise RuntimeError("nvidia-cuda-runtime-cu12 is missing")
        return importing(name, *args, **kwargs)
    monkeypatch.setattr(notices, "_said", set())
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert cards.import_faiss() is None and cards.count() == 0
    assert capsys.readouterr().out == "faiss is installed but cannot be loaded: nvidia-cuda-runtime-cu12 is missing\n"
