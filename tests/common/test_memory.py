import os

import numpy as np
import pytest

from slim_retrieval.common import memory
from slim_retrieval.common.errors import InputError


@pytest.fixture
def budget(tmp_path):
    memory.limit_to(2**30, str(tmp_path / "scratch"))
    yield tmp_path / "scratch"
    memory.limit_to(None, None)


def resident():
    """Bytes of this process that are mapped files, in memory now."""
    with open("/proc/self/status") as stream:
        found = dict(line.split(":", 1) for line in stream if ":" in line)
    return int(found["RssFile"].split()[0]) * 1024 + int(found["RssShmem"].split()[0]) * 1024


def test_without_a_budget_arrays_are_plain():
    assert type(memory.empty((10, 10))) is np.ndarray and memory.columns(10**9, 4, 64) == 64
    assert memory.rows_between_releases(np.zeros((7, 3))) == 7


def test_a_large_array_lies_in_a_file_without_a_name(budget):
    small, large = memory.empty((1000, 10)), memory.empty((2**14, 2**11), np.float32)
    assert small.base is None and isinstance(large.base, np.memmap) and large.shape == (2**14, 2**11)
    assert os.listdir(str(budget)) == []


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="resident size is read from /proc")
def test_release_gives_memory_back_and_keeps_what_was_written(budget):
    large = memory.empty((2**14, 2**11))
    before = resident()
    large[:] = np.arange(2**14, dtype=np.float32)[:, None]
    filled = resident()
    memory.release(large[:, 5:9], np.zeros(3))  # a view releases the whole; other arrays are left alone
    assert filled - before > 100e6 and resident() - before < 10e6
    np.testing.assert_array_equal(large[:, 7], np.arange(2**14))


def test_arrays_that_are_no_shared_maps_keep_their_values(budget, tmp_path):
    path = str(tmp_path / "a.npy")
    np.save(path, np.arange(1e5))
    private = np.load(path, mmap_mode="c")
    private[:] = 7
    plain = np.full(10**5, 7.0)
    memory.release(private, plain, plain[5:])
    assert (private == 7).all() and (plain == 7).all()
    read = np.load(path, mmap_mode="r")
    memory.release(read)
    np.testing.assert_array_equal(read, np.arange(1e5))


def test_blocks_become_narrower_with_the_budget(budget):
    # A quarter of 2^30 bytes: 2^26 values, in 4 arrays 2^24 each.
    assert memory.columns(2**20, 4, 64) == 16 and memory.columns(2**20, 4, 8) == 8 and memory.columns(2**40, 4, 8) == 1
    assert memory.rows_between_releases(np.zeros((10, 2**13), np.float32)) == 2**11


def test_a_budget_below_what_the_libraries_take_is_refused():
    with pytest.raises(InputError, match="max_memory is 0.25 GiB"):
        memory.limit_to(2**28, "x")


def test_prefetch_asks_for_the_pages_of_each_part_and_of_mapped_files_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "_madvise", lambda *values: asked.append([value.value for value in values]))
    np.save(str(tmp_path / "a.npy"), np.zeros((300, 64), np.float32))
    mapped = np.load(str(tmp_path / "a.npy"), mmap_mode="r")
    memory.prefetch(mapped.view(np.ndarray), [slice(3, 5), slice(np.int64(200), np.int64(201))])
    for (first, length, advice), (start, stop) in zip(asked, [(3, 5), (200, 201)]):
        begin, end = mapped[start:stop].ctypes.data, mapped[start:stop].ctypes.data + 256 * (stop - start)
        assert first % memory.PAGE == 0 and begin - memory.PAGE < first <= begin and first + length == end
        assert advice == memory.WILLNEED
    memory.prefetch(np.zeros((300, 64), np.float32), [slice(3, 5)])
    assert len(asked) == 2


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="resident size is read from /proc")
def test_rows_taken_from_anywhere_do_not_add_up(budget, tmp_path, monkeypatch):
    np.save(str(tmp_path / "a.npy"), np.tile(np.arange(2**16, dtype=np.float32)[:, None], 2**10))  # 2^28 bytes
    array = np.load(str(tmp_path / "a.npy"), mmap_mode="r")
    monkeypatch.setattr(memory, "SCATTERED", 8)
    before, most, take = resident(), 0, memory.scattered(array)
    for rows in np.random.RandomState(0).permutation(2**16)[:2**13].reshape(-1, 16):
        np.testing.assert_array_equal(take(rows)[:, 5], rows)
        most = max(most, resident() - before)
    assert most < 3 * 2**26  # an eighth of the budget is 2^27, libraries included; never the whole
    monkeypatch.setattr(memory, "mapped_now", lambda: 0)
    take(np.arange(2**16))
    assert resident() - before > 2**27  # as it would be otherwise
