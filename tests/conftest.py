"""Which devices tests see, and a cluster of Dask that they may break: processes of their own on the loopback address.

Tests run on the CPU, whatever the machine has: many ask for virtual CPU devices. `make test-gpu` shows them the GPUs.
"""
import glob
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from slim_retrieval.common import files, jobs
from slim_retrieval.common.errors import InputError

if os.environ.get("SLIM_RETRIEVAL_TEST_GPU") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # before TensorFlow or faiss is imported
else:
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # TensorFlow's float32 has ten bits on such cards otherwise
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # plain sessions of tests take all memory otherwise


class Cluster:
    """A scheduler and its workers, each with one thread; `address` is the scheduler's."""

    def __init__(self, folder, count):
        self._folder, self._processes = folder, []
        self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        for _ in range(count):
            self._start("dask_worker", "--nthreads", "1", "--no-nanny")
        self.address = self._wait(count)

    def _start(self, module, *more):
        self._processes.append(subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + module, "--scheduler-file", "scheduler.json", "--no-dashboard",
             *more], cwd=self._folder, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path[1:])),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _wait(self, count):
        """Return the address when all workers are there."""
        path, deadline = os.path.join(self._folder, "scheduler.json"), time.time() + 120
        while time.time() < deadline:
            try:
                address = files.read_json(path)["address"]
                jobs.choose("dask", self._folder, scheduler=address, workers=count)
                return address
            except (InputError, FileNotFoundError):
                time.sleep(0.3)
        raise AssertionError("Dask did not start")

    def kill_one_when(self, pattern):
        """Kill the first worker as soon as there are files of this pattern; return a function that gives their number
        and waits until the worker is dead."""
        worker, seen = self._processes[1], []

        def kill():
            while not seen:
                seen.extend(glob.glob(pattern))
                time.sleep(0.001)
            worker.send_signal(signal.SIGKILL)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()

        def killed():
            thread.join(60)
            assert worker.wait(60) == -signal.SIGKILL
            return len(seen)
        return killed

    def close(self):
        for process in self._processes[::-1]:
            process.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    made = Cluster(str(tmp_path_factory.mktemp("dask")), 2)
    jobs.choose("serial", None)
    yield made
    made.close()
