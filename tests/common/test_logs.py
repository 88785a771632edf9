import logging
import re
import subprocess
import sys

import pytest

from slim_retrieval.common.logs import start_logging


@pytest.fixture(autouse=True)
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.parametrize("logger", ["retrieve", "slim_retrieval.training.loop"])
def test_lines(capsys, logger):
    start_logging()
    log = logging.getLogger(logger)
    log.info("%d images", 3)
    log.warning("1")  # a text that also stands in the time: the level must not go there
    log.error("bad: %s", "x")
    log.debug("not shown")
    out, err = capsys.readouterr()
    assert out == ""
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", line) for line in err.splitlines()] == [
        "TIME 3 images", "TIME warning: 1", "TIME error: bad: x"]


def test_other_libraries_are_heard_from_warnings_up_and_lines_stand_once(capsys):
    start_logging()
    start_logging()
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("careful")
    logging.getLogger("retrieve").info("ours")
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == ["warning: careful", "ours"]


def test_traceback_of_a_logged_exception():
    script = ("import logging; from slim_retrieval.common.logs import start_logging; start_logging()\n"
              "try: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('retrieve').exception('failed')")
    err = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True).stderr
    assert err.splitlines()[0].endswith(" error: failed") and err.endswith("ZeroDivisionError: division by zero\n")
