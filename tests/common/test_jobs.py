import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from slim_retrieval.common import files, jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import affinity, diffusion, edges, knn, knn_store, knn_tasks


@pytest.fixture
def chosen(tmp_path):
    """A function that chooses a backend; afterwards it is serial again."""
    yield lambda *arguments, **options: jobs.choose(*arguments, folder=str(tmp_path), **options)
    jobs.choose("serial", None)


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def graph_and_solution(gallery, folder, monkeypatch):
    monkeypatch.setattr(knn_tasks, "ROWS", 100)
    ids, similarities, meta = knn_store.load_or_build(gallery, 7, str(folder), "abc", index="exact")
    matrix = affinity.normalised(affinity.affinity(edges.edges(ids, similarities, 7, "mutual"), 3))
    return ids, diffusion.solve(matrix, 0.9, gallery, 1e-4, block=3)[0], meta


def square(number, seen, output):
    """A task that also leaves a trace of each call."""
    with open(seen, "a") as stream:
        stream.write("{} ".format(number))
    if number == 3 and os.path.exists(seen + ".fail"):
        raise InputError("task 3 has no luck")
    files.write_json(output, number ** 2)


def tasks_of(tmp_path, count=6):
    return [(i, str(tmp_path / "seen"), str(tmp_path / "out-{}.json".format(i))) for i in range(count)]


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_tasks_whose_file_is_there_are_not_run_again(tmp_path, chosen, backend):
    chosen(backend, workers=2)
    tasks = tasks_of(tmp_path)
    (tmp_path / "seen.fail").write_text("")
    with pytest.raises(InputError, match="task 3 has no luck"):
        jobs.run(square, tasks, "squares")
    done = {task[0] for task in tasks if os.path.exists(task[-1])}
    assert 3 not in done
    (tmp_path / "seen.fail").unlink()
    (tmp_path / "seen").write_text("")
    jobs.run(square, tasks, "squares")
    assert sorted(int(number) for number in (tmp_path / "seen").read_text().split()) == sorted(set(range(6)) - done)
    assert [files.read_json(task[-1]) for task in tasks] == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_graph_and_solution_are_bit_for_bit_those_of_one_process(tmp_path, chosen, backend, monkeypatch):
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
    assert not os.listdir(str(tmp_path / "tasks"))


def test_a_mapped_array_is_shared_by_its_own_file_and_a_part_of_it_is_not(tmp_path):
    np.save(str(tmp_path / "a.npy"), np.arange(12.0).reshape(4, 3))
    mapped = np.load(str(tmp_path / "a.npy"), mmap_mode="r")
    assert jobs.shared(mapped, str(tmp_path / "b.npy")) == str(tmp_path / "a.npy")
    path = jobs.shared(mapped[1:], str(tmp_path / "b.npy"))
    np.testing.assert_array_equal(np.load(path), mapped[1:])


def start_dask(folder, count):
    """Return (scheduler, its address, workers), processes of their own on the loopback address."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path[1:]))
    address = str(folder / "scheduler.json")
    common = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                                  "--port", "0", "--no-dashboard", "--scheduler-file", address], **common)
    workers = [subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", address,
                                 "--nthreads", "1", "--no-nanny", "--no-dashboard"], **common) for _ in range(count)]
    deadline = time.time() + 60
    while time.time() < deadline:
        if os.path.exists(address):
            found = files.read_json(address)["address"]
            try:
                jobs.choose("dask", str(folder), scheduler=found)
                return scheduler, found, workers
            except InputError:
                pass
        time.sleep(0.3)
    raise AssertionError("Dask did not start")


def slow_block(gallery, start, stop, k, output):
    time.sleep(0.3)
    knn_tasks.block(gallery, start, stop, k, output)


def test_a_dask_worker_that_is_killed_midway_changes_nothing(tmp_path, chosen, monkeypatch):
    pytest.importorskip("distributed")
    gallery = unit_rows(900, 8)
    expected = graph_and_solution(gallery, tmp_path / "serial", monkeypatch)
    scheduler, _, workers = start_dask(tmp_path, 2)
    try:
        killed, run = [], jobs.run

        def and_kill(function, tasks, what):
            if not killed:
                killed.append(threading.Timer(0.5, workers[0].send_signal, [signal.SIGKILL]))
                killed[0].start()
                function = slow_block
            run(function, tasks, what)

        monkeypatch.setattr(jobs, "run", and_kill)
        found = graph_and_solution(gallery, tmp_path / "dask", monkeypatch)
        killed[0].join()
        assert workers[0].wait(10) == -signal.SIGKILL
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
    finally:
        for process in workers + [scheduler]:
            process.kill()


def test_what_does_not_fit_together_is_refused(tmp_path, chosen):
    with pytest.raises(InputError, match="unknown backend 'locky'.*did you mean loky"):
        chosen("locky")
    with pytest.raises(InputError, match="a scheduler goes with backend dask"):
        chosen("dask")
    with pytest.raises(InputError, match="a scheduler goes with backend dask"):
        chosen("loky", scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_that_is_not_there_is_said(chosen):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no Dask scheduler at tcp://127.0.0.1:9"):
        chosen("dask", scheduler="tcp://127.0.0.1:9")
