import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from slim_retrieval.common import progress as module
from slim_retrieval.common.progress import progress


class Clock:
    """A clock that moves only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    moved = Clock()
    monkeypatch.setattr(time, "time", moved)
    monkeypatch.setattr(module._PlainLines, "monitor_interval", 0)  # no watching thread: the clock is ours
    # tqdm took hold of time() when it was imported.
    init = module._PlainLines.__init__

    def patched(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self._time = moved
        self.start_t = self.last_print_t = moved.now
    monkeypatch.setattr(module._PlainLines, "__init__", patched)
    return moved


def test_iterates_over_everything(capsys):
    assert list(progress([3, 1, 2], what="x")) == [3, 1, 2]
    assert list(progress(iter("ab"))) == ["a", "b"]
    assert list(progress([])) == []
    assert capsys.readouterr() == ("", "")  # under a second: not worth a line


def test_plain_lines_with_rate_and_time_left(capsys, clock):
    with progress(total=900, what="training", unit="step") as bar:
        for _ in range(300):
            clock.wait(0.25)
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    # 75 s in all: a line every 10 s (4 steps a second), and the last one.
    assert lines == ["training: {}/900 step, 4.0 step/s, {} left".format(n, left) for n, left in [
        (40, "03:35"), (80, "03:25"), (120, "03:15"), (160, "03:05"), (200, "02:55"), (240, "02:45"), (280, "02:35"),
        (300, "02:30")]]


def test_final_line_says_nothing_of_time_left(capsys, clock):
    for _ in progress(range(5), what="reading", unit="img"):
        clock.wait(0.5)
    assert capsys.readouterr().err == "reading: 5/5 img, 2.0 img/s\n"


def test_no_final_line_for_what_took_under_a_second(capsys, clock):
    for _ in progress(range(5), what="reading"):
        clock.wait(0.19)
    assert capsys.readouterr().err == ""


def test_unknown_total(capsys, clock):
    for _ in progress((i for i in range(30)), what="reading", unit="img"):
        clock.wait(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"\d+ img,", "N img,", line) for line in lines] == ["reading: N img, 2.0 img/s"] * 2
    assert lines[-1] == "reading: 30 img, 2.0 img/s"


def test_what_was_done_before_does_not_count_for_the_rate(capsys, clock):
    with progress(total=100, what="extracting", unit="img", initial=90) as bar:
        clock.wait(2)
        bar.update(4)
    assert capsys.readouterr().err == "extracting: 94/100 img, 2.0 img/s, 00:03 left\n"


def test_postfix(capsys, clock):
    with progress(total=10, what="training", unit="step") as bar:
        clock.wait(12)
        bar.set_postfix_str("loss=0.41", refresh=False)
        bar.update(6)
    assert capsys.readouterr().err.splitlines()[0] == "training: 6/10 step, 0.5 step/s, 00:08 left, loss=0.41"


def test_at_most_one_line_in_the_interval_however_often_it_is_refreshed(capsys, clock):
    bar = progress(total=1000, what="x")
    for _ in range(100):
        clock.wait(0.3)  # 30 s
        bar.update()
        bar.refresh()
        bar.set_postfix(loss=1)
    assert len(capsys.readouterr().err.splitlines()) == 2  # at 10.2 and 20.4 s
    bar.close()
    bar.close()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_error_within_the_loop_passes_through(capsys, clock):
    with pytest.raises(ValueError, match="mine"), progress(total=10, what="x") as bar:
        clock.wait(3)
        bar.update(3)
        raise ValueError("mine")
    assert capsys.readouterr().err == "x: 3/10 it, 1.0 it/s, 00:07 left\n"


def test_stdout_stays_clean_in_a_process_without_terminal():
    script = "import time; from slim_retrieval.common.progress import progress\n" \
             "for i in progress(range(3), what='x', unit='img'): time.sleep(.4)"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    assert done.returncode == 0 and done.stdout == ""
    assert re.match(r"^x: 3/3 img, [12]\.\d img/s\n$", done.stderr)


def on_terminal(script, columns):
    """Run a script with stderr on a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def test_bar_on_a_terminal():
    text = on_terminal("""
from slim_retrieval.common.progress import progress
for i in progress(range(2000), what="reading", unit="img"): pass
with progress(total=10, what="training", unit="step", initial=4) as bar: bar.update(6)
""", columns=100)
    assert "reading: 100%" in text and "2.00k/2.00k" in text and "training: 100%" in text and "10/10" in text
    assert "\r" in text and "Traceback" not in text


def test_plain_lines_on_a_terminal_without_width():
    text = on_terminal("""
import time
from slim_retrieval.common.progress import progress
for i in progress(range(3), what="reading", unit="img"): time.sleep(.4)
""", columns=0)
    assert re.match(r"^reading: 3/3 img, [12]\.\d img/s\r\n$", text)


def test_what_a_thread_does_silently_is_not_shown(clock, capfd):
    with module.silent():
        for _ in progress(range(3), what="task"):
            clock.wait(60)
        with progress(total=2, initial=1, what="task") as bar:
            clock.wait(60)
            bar.update(2 - bar.n)
    assert capfd.readouterr().err == ""
    for _ in progress(range(3), what="step"):
        clock.wait(60)
    assert "step: 3/3" in capfd.readouterr().err
