"""Loops compiled by Numba where it is installed (extra "speed"), and the threads that run them."""
import concurrent.futures
import functools
import os
import time

from slim_retrieval.common.notices import say_once


@functools.lru_cache(maxsize=None)
def compiled(function, *signatures):
    """Return the function compiled for the signatures, or None where Numba is not installed: one line says so.

    The compiled function lets other Python threads run. It is kept beside the source, in the user's cache where the
    installation is read-only, and in memory alone where both are; a line tells the seconds that compiling took.

    Args:
      function: loops over arrays and numbers, in the part of Python that Numba knows; calls no other of ours.
      *signatures: Numba's notation, such as "void(float32[:, ::1], int64)".
    """
    numba = import_numba()
    if numba is None:
        say_once("numba is not installed: sparse products by SciPy, several times slower (pip install numba)")
        return None
    start = time.perf_counter()
    # Sums may be reordered and fused; nothing is NaN (features are checked).
    options = {"nogil": True, "fastmath": {"contract", "reassoc", "nsz", "nnan"}}
    try:
        result = numba.njit(list(signatures), cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        result = numba.njit(list(signatures), **options)(function)
    if result.stats.cache_path is None or result.stats.cache_misses:
        say_once("compiled {}.{} in {:.1f} s{}".format(
            function.__module__.split(".")[-1], function.__name__.strip("_"), time.perf_counter() - start,
            ", kept for later runs" if result.stats.cache_path else ""))
    return result


def import_numba():
    """Return the module numba, or None where it is not installed."""
    try:
        import numba
    except ImportError:
        return None
    return numba


def threads():
    """Return how many threads to use: OMP_NUM_THREADS as the libraries below do, else one for each processor."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told) > 0:
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers():
    """Return an executor of `threads()` threads, to be used as a context."""
    return concurrent.futures.ThreadPoolExecutor(threads())


def run(pool, function, items):
    """Call the function with each of the items, on the pool's threads; a pool of None: here, one after the other."""
    for _ in map(function, items) if pool is None else pool.map(function, items):
        pass
