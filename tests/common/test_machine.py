import subprocess
import sys
import time

import pytest

from slim_retrieval.common import machine


def test_versions_are_of_what_is_imported():
    script = ("import json, sys; from slim_retrieval.common import machine; before = machine.versions();"
              "import numpy; print(json.dumps([before, machine.versions(), numpy.__version__]))")
    before, after, numpy_version = eval(subprocess.check_output([sys.executable, "-c", script]).decode())
    assert before == {"python": "{}.{}.{}".format(*sys.version_info[:3])}
    assert after == dict(before, numpy=numpy_version)


def test_peak_memory_grows_by_what_is_touched_and_never_falls():
    # In its own process: here an earlier test may have touched more.
    script = """
from slim_retrieval.common.machine import peak_memory_mb
before = peak_memory_mb()
block = bytearray(100000000)
block[::4096] = b"x" * len(block[::4096])
during = peak_memory_mb()
del block
print(before, during, peak_memory_mb())
"""
    before, during, after = map(int, subprocess.check_output([sys.executable, "-c", script]).split())
    assert 3 < before < 300
    assert 95 <= during - before <= 110
    assert after >= during


def test_peak_memory_is_not_that_of_the_program_that_started_this_one():
    script = """
import subprocess, sys
block = b"x" * 300000000
print(subprocess.check_output([sys.executable, "-c",
                               "from slim_retrieval.common import machine; print(machine.peak_memory_mb())"]).decode())
"""
    assert 3 < int(subprocess.check_output([sys.executable, "-c", script])) < 100


def test_have():
    assert machine.have("numpy") and not machine.have("no_such_module_at_all")


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds
    return wait


def test_stages_one_after_another_add_up(clock):
    watch = machine.Stopwatch()
    for seconds in (1, 2):
        with watch("search"):
            clock(seconds)
        clock(50)  # between stages nothing is counted
    with watch("graph"):
        clock(4)
    assert watch.seconds == {"search": 3, "graph": 4} and watch.total == 7


def test_nested_stages_are_counted_once(clock):
    watch = machine.Stopwatch()
    with watch("outer"):
        clock(1)
        with watch("inner"):
            clock(10)
            with watch("innermost"):
                clock(100)
        clock(1000)
        with watch("inner"):
            clock(10000)
    assert watch.seconds == {"outer": 1001, "inner": 10010, "innermost": 100}
    assert watch.total == 11111


def test_a_stage_that_fails_is_counted_and_closed(clock):
    watch = machine.Stopwatch()
    with pytest.raises(ValueError), watch("outer"), watch("inner"):
        clock(3)
        raise ValueError()
    with watch("next"):
        clock(1)
    assert watch.seconds == {"inner": 3, "outer": 0, "next": 1}


def test_a_new_stopwatch_is_empty():
    assert machine.Stopwatch().seconds == {} and machine.Stopwatch().total == 0
