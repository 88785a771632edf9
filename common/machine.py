"""What ran where: versions, seconds and peak memory, as they are recorded beside every result."""
import importlib.util
import os
import platform
import resource
import sys
import time

PACKAGES = ["numpy", "scipy", "sklearn", "faiss", "numba", "tensorflow", "tf_slim", "tf2onnx",
            "onnxruntime"]


def versions():
    """Return {package: version} of Python and of those packages that are already imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        module = sys.modules.get(name)
        if module is not None:
            found[name] = getattr(module, "__version__", "unknown")
    return found


def peak_memory_mb():
    """Return the largest resident size of this process so far, in MB (10^6 bytes)."""
    # Linux hands ru_maxrss on to a new program: it may be the peak of whoever started this one. VmHWM is our own.
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(int(line.split()[1]) * 1024 / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)  # macOS counts bytes, Linux KiB


def have(module):
    """Return whether `module` can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


class Stopwatch:
    """Seconds spent in named stages: `with watch("search"): ...`; `watch.seconds` is {stage: seconds}.

    A stage within a stage is counted once, for the inner one: the seconds of all stages add up to the time that passed.
    """

    def __init__(self):
        self.seconds = {}
        self._stage = None  # the stage that was named or left last
        self._running = []  # [stage, start, seconds of stages within] from the outermost to the innermost

    def __call__(self, stage):
        self._stage = stage
        return self

    def __enter__(self):
        self._running.append([self._stage, time.perf_counter(), 0.0])

    def __exit__(self, *_):
        self._stage, start, within = self._running.pop()
        passed = time.perf_counter() - start
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + passed - within
        if self._running:
            self._running[-1][2] += passed

    @property
    def total(self):
        """Seconds of all stages together."""
        return sum(self.seconds.values())
