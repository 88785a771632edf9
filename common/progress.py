"""Progress with rate and time left: a bar on a terminal, a plain line every so often elsewhere."""
import contextlib
import os
import sys
import threading
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0

_thread = threading.local()


def progress(iterable=None, total=None, what="", unit="it", initial=0):
    """Return a tqdm bar over `iterable` (or a manual one with `total`); without a terminal it prints plain lines.

    Args:
      what: a few words shown in front.
      unit: what is counted, such as "img".
      initial: how much was already done before this process (a resumed step).
    """
    if getattr(_thread, "silent", False):
        return tqdm(iterable, total=total, initial=initial, disable=True)
    if _on_terminal():
        return tqdm(iterable, total=total, desc=what, unit=unit, initial=initial, dynamic_ncols=True,
                    smoothing=0.1, unit_scale=unit != "step")
    return _PlainLines(iterable, total=total, desc=what, unit=unit, initial=initial)


@contextlib.contextmanager
def silent():
    """Show no progress of what this thread does meanwhile."""
    _thread.silent = True
    try:
        yield
    finally:
        _thread.silent = False


def _on_terminal():
    # Containers give out terminals without a width; a bar has no room there.
    return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0


class _PlainLines(tqdm):
    """A tqdm that prints whole lines, at most one in SECONDS_BETWEEN_LINES, so that logs stay readable."""

    def __init__(self, *args, **kwargs):
        self._last_line = time.time()
        self._lines = 0
        super().__init__(*args, mininterval=SECONDS_BETWEEN_LINES, maxinterval=SECONDS_BETWEEN_LINES,
                         file=sys.stderr, **kwargs)

    def display(self, msg=None, pos=None):
        now = time.time()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return True
        self._print(now)
        return True

    def close(self):
        if not self.disable and (self._lines or time.time() - self.start_t > 1.0):
            self._print(time.time())
        self.disable = True

    def _print(self, now):
        self._last_line = now
        self._lines += 1
        self.fp.write("{}\n".format(self.format_line()))
        self.fp.flush()

    def format_line(self):
        """Return e.g. 'training: 300/900 step, 12.3 step/s, 0:49 left, loss=0.41'."""
        values = self.format_dict
        elapsed = max(values["elapsed"], 1e-9)
        rate = (values["n"] - values["initial"]) / elapsed
        line = "{}: {}{} {}, {:.1f} {}/s".format(
            self.desc.rstrip(": ") or "progress", values["n"],
            "/{}".format(self.total) if self.total else "", self.unit, rate, self.unit)
        if self.total and rate > 0 and values["n"] < self.total:
            line += ", {} left".format(tqdm.format_interval((self.total - values["n"]) / rate))
        return line + (", " + self.postfix if self.postfix else "")
