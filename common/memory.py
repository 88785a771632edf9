"""A budget for memory: large arrays lie in scratch files, blocks are narrower, and what was read is given back.

Nothing changes until `limit_to` is called. The budget is for the resident size of the process, libraries included.
Pages of a file that is mapped count as long as they are mapped in, though the system could take them back: `release`
gives them back at once; they stay in the system's cache.
"""
import ctypes
import os
import tempfile

import numpy as np

from slim_retrieval.common.errors import InputError

SHARE = 16  # an array above this part of the budget lies in a scratch file
BLOCKS = 4  # part of the budget for the blocks of one computation
SCATTERED = 3  # part of the budget for what is mapped in of files whose rows are read in any order
LEAST = int(0.6 * 2**30)  # bytes: Python and the libraries take about half of it
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
DONTNEED, WILLNEED = 4, 3  # MADV_DONTNEED and MADV_WILLNEED, on Linux and macOS

_madvise = getattr(ctypes.CDLL(None), "madvise", None)

_budget = {"bytes": None, "folder": None}


def limit_to(size, folder):
    """Set the budget, or lift it.

    Args:
      size: bytes, or None: no budget.
      folder: where scratch files are made; their names are taken away at once, so that nothing is left behind.

    Raises:
      InputError: less than the libraries take.
    """
    if size is not None and size < LEAST:
        raise InputError("max_memory is {:.2f} GiB; the libraries alone take about 0.3, so give at least "
                         "{:.1f}".format(size / 2**30, LEAST / 2**30))
    _budget.update(bytes=None if size is None else int(size), folder=folder)


def empty(shape, dtype=np.float32):
    """Return a new array, in memory or, when it is a large part of the budget, in a scratch file."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if _budget["bytes"] is None or size <= _budget["bytes"] // SHARE:
        return np.empty(shape, dtype)
    os.makedirs(_budget["folder"], exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=".scratch-", dir=_budget["folder"])
    os.close(handle)
    try:
        array = np.memmap(path, dtype, "w+", shape=tuple(shape))
    finally:
        os.remove(path)
    return array.view(np.ndarray)  # compiled loops take no other kind


def release(*arrays):
    """Give back the memory of mapped files that these arrays show; what was written stays. Without a budget: nothing.

    Arrays that are no memory maps are left alone.
    """
    if _budget["bytes"] is None or _madvise is None:
        return
    for array in arrays:
        mapped = _mapped(array)
        if mapped is not None and mapped.mode in ("r", "r+", "w+"):  # shared with the file: nothing is lost
            first = mapped.ctypes.data // PAGE * PAGE
            length = mapped.ctypes.data + mapped.nbytes - first
            _madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), ctypes.c_int(DONTNEED))


def prefetch(array, parts):
    """Have the system begin to read some rows of a mapped file, all at once: from a disk much faster than in turn.

    Args:
      array: [n, d], rows one after another; where it is no memory map nothing is done.
      parts: list of slices of rows.
    """
    if _madvise is None or _mapped(array) is None:
        return
    start, width = array.ctypes.data, array.strides[0]
    for part in parts:
        first = (start + int(part.start) * width) // PAGE * PAGE
        length = start + int(part.stop) * width - first
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), ctypes.c_int(WILLNEED))


def scattered(array):
    """Return a function that gives the rows of these numbers, a copy, and releases the array from time to time.

    For rows that lie anywhere: the system maps in up to some megabytes around each, so what is mapped is looked at.
    Releasing each time would take longer than reading: it looks through all of the map.
    """
    most = None if _budget["bytes"] is None else _budget["bytes"] // SCATTERED

    def take(rows):
        result = array[rows]
        if most is not None and mapped_now() > most:
            release(array)
        return result

    return take


def mapped_now():
    """Return how many bytes of mapped files the process holds in memory; where the system does not tell, infinity."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[2]) * PAGE
    except OSError:
        return np.inf


def columns(rows, arrays, most):
    """Return how many float32 columns of so many rows fit, from 1 to `most`, in `arrays` blocks at once."""
    if _budget["bytes"] is None:
        return most
    return int(max(1, min(most, _budget["bytes"] // BLOCKS // (4 * rows * arrays))))


def rows_between_releases(array):
    """Return after how many rows of an array that is read `release` is due."""
    if _budget["bytes"] is None:
        return max(1, len(array))
    row = max(1, array.nbytes // max(1, len(array)))
    return max(1, _budget["bytes"] // SHARE // row)


def _mapped(array):
    """Return the whole numpy.memmap that an array is, or is a view of; else None."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            found = array
        array = array.base
    return found
