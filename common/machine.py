"""What ran where: versions, seconds and peak memory, as they are recorded beside every result."""
import importlib.util
import platform
import resource
import sys
import time

PACKAGES = ["numpy", "scipy", "sklearn", "faiss", "tensorflow", "tf_slim"]


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)  # macOS counts bytes, Linux KiB


def have(module):
    """Return whether `module` can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


class Stopwatch:
    """Seconds spent in named stages: `with watch("search"): ...`; `watch.seconds` is {stage: seconds}."""

    def __init__(self):
        self.seconds = {}
        self._stage = None

    def __call__(self, stage):
        self._stage = stage
        return self

    def __enter__(self):
        self._started = (self._stage, time.perf_counter())

    def __exit__(self, *_):
        stage, start = self._started
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    @property
    def total(self):
        """Seconds of all stages together."""
        return sum(self.seconds.values())
