import glob
import os

import numpy as np
import pytest

from slim_retrieval.common import jobs
from slim_retrieval.graph import approximate, knn_store, list_join, list_tasks, lists

pytest.importorskip("numba")


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Small tasks, by threads."""
    monkeypatch.setattr(list_tasks, "ROWS", 70)
    monkeypatch.setattr(list_tasks, "COLUMNS", 30)
    monkeypatch.setattr(list_join, "ROWS", 15)
    jobs.choose("threading", str(tmp_path), workers=2)
    yield tmp_path / "tasks"
    jobs.choose("serial", None)


def clustered(n=500, d=8, seed=0):
    random = np.random.RandomState(seed)
    rows = random.randn(30, d)[random.randint(30, size=n)] + 0.4 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("probes", [1, 4])
def test_neighbours_are_those_of_one_process(tasks, probes):
    gallery = clustered()
    expected = list_join.join(gallery, 6, lambda centres: probes, seed=3)
    ids, similarities, about = list_tasks.join(gallery, 6, lambda centres: probes, 3, "name")
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(similarities, expected[1], atol=1e-6)
    assert about == expected[2] == {"lists": 25, "probes": probes}
    assert not os.path.exists(str(tasks))


def test_lists_larger_than_a_task_and_empty_ones(tasks, monkeypatch):
    """Two of three rows are one and the same point: their list is several tasks long, and others stay empty."""
    monkeypatch.setattr(lists, "TRAIN", 5)
    gallery = clustered(300)
    gallery[::3] = gallery[1::3] = gallery[1]
    ids, similarities, about = list_tasks.join(gallery, 4, lambda centres: 3, 0, "name")
    np.testing.assert_allclose(similarities, list_join.join(gallery, 4, lambda centres: 3)[1], atol=1e-6)
    found = ids >= 0
    assert found.mean() > 0.9 and not (ids == np.arange(300)[:, None]).any()
    np.testing.assert_allclose(similarities[found], np.einsum("nd,nkd->nk", gallery, gallery[ids])[found], atol=1e-6)
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in ids)


def test_a_killed_join_goes_on_with_the_tasks_that_are_missing(tasks, monkeypatch):
    gallery, compare, calls = clustered(), list_tasks._compare, []
    jobs.choose("threading", str(tasks.parent), workers=1)
    expected = list_tasks.join(gallery, 5, lambda centres: 2, 0, "name")

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 40:
            raise KeyError("killed")
        compare(*arguments)

    monkeypatch.setattr(list_tasks, "_compare", killed)
    with pytest.raises(KeyError, match="killed"):
        list_tasks.join(gallery, 5, lambda centres: 2, 0, "name")
    done = {path: os.stat(path).st_mtime_ns for path in glob.glob(str(tasks / "*" / "*-*.np[yz]"))}
    assert len([path for path in done if "near-" in path]) == 8
    assert 0 < len([path for path in done if "neighbors-" in path]) < 8
    seen = []
    monkeypatch.setattr(list_tasks, "_compare", compare)
    monkeypatch.setattr(jobs, "forget", lambda path: seen.append(
        {path: os.stat(path).st_mtime_ns for path in done}))
    found = list_tasks.join(gallery, 5, lambda centres: 2, 0, "name")
    assert seen == [done]
    for got, wanted in zip(found[:2], expected[:2]):
        np.testing.assert_array_equal(got, wanted)


def test_the_stored_graph_is_that_of_one_process_and_says_how_it_was_made(tasks):
    gallery = clustered(1200)
    expected = approximate.neighbors(gallery, 5, 0.9)
    ids, similarities, meta = knn_store.load_or_build(gallery, 5, str(tasks.parent / "graph"), "abc", index="lists",
                                                      recall=0.9)
    np.testing.assert_array_equal(ids, expected[0])
    assert meta["backend"].startswith("lists, {} of {}, tasks; recall@5".format(meta["probes"], meta["lists"]))
    assert meta["recall"] == expected[2]["recall"]
