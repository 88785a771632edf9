import os

import pytest

from slim_retrieval.common import notices
from slim_retrieval.graph import compiled


def double(x):
    return 2 * x


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(notices, "_said", set())
    compiled.compiled.cache_clear()
    yield
    compiled.compiled.cache_clear()


def test_without_numba_there_is_none_and_a_line_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(compiled, "import_numba", lambda: None)
    assert compiled.compiled(double, "int64(int64)") is None
    compiled.compiled.cache_clear()
    assert compiled.compiled(double, "int64(int64)") is None
    assert capsys.readouterr().out.count("numba is not installed") == 1


def test_a_compiled_function_computes_the_same():
    pytest.importorskip("numba")
    function = compiled.compiled(double, "int64(int64)")
    assert function(21) == 42 and function.signatures and function is compiled.compiled(double, "int64(int64)")


def test_a_read_only_installation_is_compiled_in_memory_and_the_seconds_are_told(monkeypatch, capsys):
    """Numba looks for a folder to write to when it is told to cache, and raises where there is none."""
    numba = pytest.importorskip("numba")
    caching = []

    def njit(*args, **options):
        caching.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(*args, **options)

    fake = type("numba", (), {"njit": staticmethod(njit)})
    monkeypatch.setattr(compiled, "import_numba", lambda: fake)
    assert compiled.compiled(double, "int64(int64)")(4) == 8 and caching == [True, False]
    line = capsys.readouterr().out
    assert line.startswith("compiled test_compiled.double in ") and "kept" not in line


@pytest.mark.parametrize("told, expected", [("3", 3), ("1", 1)])
def test_threads_follow_omp_num_threads(monkeypatch, told, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert compiled.threads() == expected


@pytest.mark.parametrize("told", ["", "many", "0"])
def test_threads_are_the_processors_otherwise(monkeypatch, told):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert 1 <= compiled.threads() <= os.cpu_count()
