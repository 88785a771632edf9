"""Long steps cut into tasks for other threads, processes or machines, which joblib or Dask hands out.

A task is a function of a module with plain arguments, paths and numbers; it reads files, writes one file, complete or
not at all, and depends on nothing else. So it may run anywhere that sees the same folder under the same path, may run
twice, and one whose file is there is done: a killed run goes on with the tasks that are missing.
"""
import contextlib
import os

import joblib
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.progress import progress, silent

BACKENDS = {"serial": "in this process, without tasks", "threading": "threads", "loky": "processes of this machine",
            "dask": "a cluster of Dask, named by its scheduler's address"}

SHORT = {"backend": "jobs.backend", "workers": "jobs.workers", "scheduler": "jobs.scheduler"}  # flags of the scripts

TIMEOUT = "10s"  # for finding the scheduler

_chosen = {"backend": "serial", "workers": -1, "scheduler": "", "folder": None}


def choose(backend, folder, workers=0, scheduler=""):
    """Set where tasks run from now on.

    Args:
      backend: a name in BACKENDS.
      folder: where tasks find what they share and write what they find; on a cluster, on storage that all machines see.
      workers: threads or processes; 0: one for each processor. Dask: how many must be there, at least one.
      scheduler: address of Dask's scheduler, such as tcp://10.0.0.1:8786.

    Raises:
      InputError: an unknown backend, workers without one, no scheduler, one that is not reached, too few workers, a
        cluster that cannot run our tasks, or Dask is not installed.
    """
    lookup(BACKENDS, backend, "backend")
    if (backend == "dask") != bool(scheduler):
        raise InputError("backend {} and scheduler {!r}: a scheduler goes with backend dask, which needs one".format(
            backend, scheduler))
    if backend == "serial" and workers:
        raise InputError("{} workers, but backend serial has none; choose another, such as loky".format(workers))
    if backend == "dask":
        _connect(scheduler, max(1, workers))
    _chosen.update(backend=backend, workers=workers or -1, scheduler=scheduler, folder=folder)


def parallel():
    """Return whether steps are to be cut into tasks."""
    return _chosen["backend"] != "serial"


def folder(*parts):
    """Return the folder of a step's tasks, not made yet; the parts (arrays, numbers, strings) name it."""
    return os.path.abspath(os.path.join(_chosen["folder"], "tasks", files.digest(*parts)))


def forget(path):
    """Delete a step's folder, whose results are in their place."""
    files.remove(path)
    with contextlib.suppress(OSError):  # another step's may be there
        os.rmdir(os.path.dirname(path))


def shared(array, path):
    """Return the path of a .npy file with the array: its own where it is mapped from one, else `path`, written."""
    if isinstance(array, np.memmap) and array.filename and str(array.filename).endswith(".npy"):
        whole = np.load(array.filename, mmap_mode="r")
        if whole.shape == array.shape and whole.dtype == array.dtype:
            return os.path.abspath(str(array.filename))
    if not os.path.exists(path):
        files.write_array(path, array)
    return path


def run(function, tasks, what):
    """Call function(*task) for each task whose file is not there yet; return when all are.

    Args:
      function: of a module; tasks: list of tuples of plain values, the last one the path of the file that it writes.
      what: a few words for the progress shown.

    Raises:
      Whatever a task raises; the others' files stay.
    """
    missing = [task for task in tasks if not os.path.exists(task[-1])]
    if len(missing) < len(tasks):
        print("{}: {} of {} tasks are done already".format(what, len(tasks) - len(missing), len(tasks)), flush=True)
    for _ in progress(_done(function, missing), total=len(missing), what=what, unit="task"):
        pass


def _done(function, tasks):
    """Yield something for each task that is done; raise what a task raises."""
    if _chosen["backend"] != "dask":
        pool = joblib.Parallel(_chosen["workers"], backend=_chosen["backend"], batch_size=1, return_as="generator")
        yield from pool(joblib.delayed(work)(function, task) for task in tasks)
        return
    # Not through joblib: it would run the tasks here where the cluster has one thread, and shows no progress.
    from distributed import Client, as_completed
    with Client(_chosen["scheduler"], timeout=TIMEOUT) as client:
        futures = [client.submit(work, function, task, pure=False) for task in tasks]
        for future in as_completed(futures):
            yield future.result()


def work(function, task):
    """Run a task here. Its own progress is not shown: it would stand between the lines of whoever waits for it."""
    with silent():
        function(*task)


def hello():
    """Task: show that a worker has this package."""
    return True


def _connect(scheduler, workers):
    """Raise InputError unless there is a scheduler at the address, with workers that can run our tasks."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError('backend dask needs Dask, which is not installed; pip install "dask[distributed]"') from None
    try:
        client = Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise InputError("no Dask scheduler at {}: {}".format(scheduler, error or type(error).__name__)) from None
    with client:
        found = len(client.scheduler_info()["workers"])
        if found < workers:
            raise InputError("the Dask scheduler at {0} has {1} workers, wanted are {2}; start more: dask worker "
                             "{0}".format(scheduler, found, workers))
        try:  # without the package on the scheduler, it might wait for ever
            client.submit(hello, pure=False).result(timeout=60)
        except Exception as error:
            raise InputError("the Dask cluster at {} cannot run tasks of slim-retrieval; install the same version on "
                             "its scheduler and workers ({})".format(
                                 scheduler, str(error).strip().split("\n")[0])) from None
