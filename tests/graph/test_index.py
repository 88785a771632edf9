"""Single queries of a fitted method, with lists and without."""
import os

import numpy as np
import pytest

from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.graph import index, index_lists, sources


def rows(n, seed, d=12):
    random = np.random.RandomState(seed)
    made = np.random.RandomState(9).randn(40, d)[random.randint(0, 40, n)] + 0.4 * random.randn(n, d)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


GALLERY, QUERIES = rows(1000, 1), rows(60, 2)


DEFAULTS = to_plain(resolve())


def opened(name, folder, read=None, cfa=None, **retrieval):
    config = dict(DEFAULTS, cfa=dict(DEFAULTS["cfa"], **(cfa or {})),
                  retrieval=dict(DEFAULTS["retrieval"], **retrieval))
    source = sources.Source(GALLERY, "h", "h", None, "here")
    return index.fitted(name, config, "h", read or (lambda: (source, None)), str(folder))


def refused():
    raise AssertionError("the gallery is read")


@pytest.fixture(scope="module", autouse=True)
def everything_is_large():
    before, index_lists.LARGE = index_lists.LARGE, 0
    yield
    index_lists.LARGE = before


@pytest.fixture(scope="module", params=["none", "cfa", "cfa, levels"])
def method(request, tmp_path_factory):
    """Return (name, settings, folder with an index of it that has lists)."""
    name = request.param.split(",")[0]
    settings = {"cfa": {"levels": [{"k": [5]}, {"k": [3]}]}} if "levels" in request.param else {}
    folder = tmp_path_factory.mktemp("index")
    opened(name, folder, **settings)
    return name, settings, folder


def test_lists_answer_nearly_as_a_search_of_everything_does(method, capsys):
    name, settings, folder = method
    exact = opened(name, folder, search="exact", **settings)
    listed = opened(name, folder, refused, **settings)
    assert exact.lists == {} and set(listed.lists) == ({"gallery_"} if name == "none" else {"gallery_", "source_"})
    assert "building" not in capsys.readouterr().out
    expected, found = index.ask(exact, QUERIES, 10), index.ask(listed, QUERIES, 10)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(expected[0], found[0])])
    assert share > 0.97
    same = np.all(expected[0] == found[0], axis=1)  # where the query's own neighbours were found, too
    assert same.mean() > 0.8
    np.testing.assert_allclose(found[1][same], expected[1][same], atol=1e-3)


def test_all_lists_give_the_same_answer(method):
    name, settings, folder = method
    exact = opened(name, folder, search="exact", **settings)
    listed = opened(name, folder, refused, **settings)
    for lists in listed.lists.values():
        lists.about["depths"][:] = []
    expected, found = index.ask(exact, QUERIES, 10), index.ask(listed, QUERIES, 10)
    np.testing.assert_allclose(found[1], expected[1], atol=2e-6)
    other = found[0] != expected[0]  # products of other shapes round otherwise: ties and near ties change places
    assert other.mean() < 0.02 and all(set(a) == set(b) for a, b in zip(found[0], expected[0]))


def test_small_arrays_have_no_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(index_lists, "LARGE", GALLERY.nbytes)
    made = opened("none", tmp_path)
    assert made.lists == {} and not os.path.exists(str(tmp_path / "index"))
    np.testing.assert_array_equal(index.ask(made, QUERIES, 3)[0], np.argsort(-(QUERIES @ GALLERY.T), axis=1)[:, :3])
    monkeypatch.setattr(index_lists, "LARGE", GALLERY.nbytes - 1)
    assert set(opened("none", tmp_path).lists) == {"gallery_"}


def test_damaged_lists_are_built_again_and_another_recall_too(tmp_path, capsys):
    first = opened("none", tmp_path)
    assert "no lists in" in capsys.readouterr().out
    path = str(tmp_path / "index" / "none" / "lists" / "gallery_" / "rows.npy")
    os.remove(path)
    np.testing.assert_array_equal(opened("none", tmp_path).lists["gallery_"].ids, first.lists["gallery_"].ids)
    assert "are damaged" in capsys.readouterr().out
    least = opened("none", tmp_path, recall=0.5).lists["gallery_"]
    assert "other features or settings: building them" in capsys.readouterr().out
    assert least.about["depths"][0]["probes"] < first.lists["gallery_"].about["depths"][0]["probes"]


def test_where_nothing_can_be_stored_the_search_reads_everything(tmp_path, capsys):
    (tmp_path / "index").write_text("a file where the folder should be")
    made = opened("none", tmp_path)
    assert made.lists == {} and "they cannot be stored" in capsys.readouterr().out
    np.testing.assert_array_equal(index.ask(made, QUERIES, 1)[0][:, 0], (QUERIES @ GALLERY.T).argmax(axis=1))


def test_raw_queries_need_no_lists_of_the_features(tmp_path):
    made = opened("cfa", tmp_path, cfa={"levels": [{"k": [5]}], "queries": "raw"})
    assert set(made.lists) == {"gallery_"}
