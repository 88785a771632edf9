import os

import numpy as np
import pytest

from slim_retrieval.common import jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, diffusion, edges, knn, knn_store, knn_tasks, list_tasks, ranking


@pytest.fixture
def chosen(tmp_path):
    """A function that chooses a backend; afterwards it is serial again."""
    yield lambda *arguments, **options: jobs.choose(*arguments, folder=str(tmp_path), **options)
    jobs.choose("serial", None)


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def graph_and_solution(gallery, folder, monkeypatch, rows=100):
    monkeypatch.setattr(knn_tasks, "ROWS", rows)
    ids, similarities, meta = knn_store.load_or_build(gallery, 7, str(folder), "abc", index="exact")
    again = np.einsum("nd,nkd->nk", gallery, gallery[ids])  # products of another shape are rounded differently
    np.testing.assert_allclose(similarities, again, atol=1e-6)
    matrix = affinity.normalised(affinity.affinity(edges.edges(ids, again, 7, "mutual"), 3))
    return ids, diffusion.solve(matrix, 0.9, gallery, 1e-4, block=3)[0], meta


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_tasks_whose_file_is_there_are_not_run_again(tmp_path, chosen, backend):
    chosen(backend, workers=2)
    gallery = unit_rows(20, 4)
    galleries, found = ([str(tmp_path / name.format(i)) for i in range(6)] for name in ("g-{}.npy", "found-{}.npz"))
    for path in galleries[:3] + galleries[4:]:
        np.save(path, gallery)
    tasks = [(path, 0, 20, 3, output) for path, output in zip(galleries, found)]
    with pytest.raises(FileNotFoundError, match="g-3.npy"):
        jobs.run(knn_tasks.block, tasks, "neighbours")
    before = {path: os.stat(path).st_mtime_ns for path in found if os.path.exists(path)}
    assert found[3] not in before
    np.save(galleries[3], gallery)
    jobs.run(knn_tasks.block, tasks, "neighbours")
    assert before == {path: os.stat(path).st_mtime_ns for path in before}
    for path in found:
        np.testing.assert_array_equal(np.load(path)["ids"], knn.neighbors(gallery, 3)[0])


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_graph_is_that_of_one_process_and_so_is_its_solution_bit_for_bit(tmp_path, chosen, backend, monkeypatch):
    gallery = unit_rows(330, 8)
    expected = graph_and_solution(gallery, tmp_path / "serial", monkeypatch)
    np.testing.assert_array_equal(expected[0], knn.neighbors(gallery, 7)[0])
    chosen(backend, workers=2)
    np.save(str(tmp_path / "gallery.npy"), gallery)
    for array in (gallery, np.load(str(tmp_path / "gallery.npy"), mmap_mode="r")):
        found = graph_and_solution(array, tmp_path / backend / type(array).__name__, monkeypatch)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        assert "tasks" in found[2]["backend"]
    assert not os.path.exists(str(tmp_path / "tasks"))


def test_a_mapped_array_is_shared_by_its_own_file_and_a_part_of_it_is_not(tmp_path):
    np.save(str(tmp_path / "a.npy"), np.arange(12.0).reshape(4, 3))
    mapped = np.load(str(tmp_path / "a.npy"), mmap_mode="r")
    assert jobs.shared(mapped, str(tmp_path / "b.npy")) == str(tmp_path / "a.npy")
    path = jobs.shared(mapped[1:], str(tmp_path / "b.npy"))
    np.testing.assert_array_equal(np.load(path), mapped[1:])


def test_a_dask_worker_that_is_killed_midway_changes_nothing(tmp_path, chosen, cluster, monkeypatch):
    gallery = unit_rows(900, 8)
    expected = graph_and_solution(gallery, tmp_path / "serial", monkeypatch)
    chosen("dask", scheduler=cluster.address, workers=2)
    killed = cluster.kill_one_when(str(tmp_path / "tasks" / "*" / "neighbors-*.npz"))
    found = graph_and_solution(gallery, tmp_path / "dask", monkeypatch, rows=9)
    assert 0 < killed() < 100
    # Nine rows at a time: a matrix product of another shape rounds otherwise.
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)


def test_dask_joins_lists_and_ranks_as_one_process(tmp_path, chosen, cluster, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(list_tasks, "ROWS", 150)
    monkeypatch.setattr(knn_tasks, "ROWS", 64)
    gallery, found = unit_rows(400, 8), []
    for backend, options in (("serial", {}), ("dask", {"scheduler": cluster.address})):
        chosen(backend, **options)
        found.append((knn_store.load_or_build(gallery, 5, str(tmp_path / backend), "abc", index="lists", recall=0.8)[0],
                      ranking.rank(gallery, gallery, 6, 32)))
    for expected, got in zip(*found):
        np.testing.assert_array_equal(got, expected)


def test_what_does_not_fit_together_is_refused(tmp_path, chosen):
    with pytest.raises(InputError, match="unknown backend 'locky'.*did you mean loky"):
        chosen("locky")
    with pytest.raises(InputError, match="a scheduler goes with backend dask"):
        chosen("dask")
    with pytest.raises(InputError, match="a scheduler goes with backend dask"):
        chosen("loky", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="3 workers, but backend serial has none"):
        chosen("serial", workers=3)


def test_a_scheduler_that_is_not_there_is_said(chosen, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(jobs, "TIMEOUT", "1s")
    with pytest.raises(InputError, match="no Dask scheduler at tcp://127.0.0.1:9"):
        chosen("dask", scheduler="tcp://127.0.0.1:9")
