import errno

import pytest

from slim_retrieval.common.errors import InputError, command, lookup, nearest


def raising(error):
    @command
    def main():
        raise error
    return main


def test_lookup_finds():
    assert lookup({"max": 3}, "max", "pooling") == 3


def test_lookup_names_the_nearest_and_the_known():
    with pytest.raises(InputError) as caught:
        lookup({"max": 1, "average": 2, "gem": 3}, "avrage", "pooling")
    assert str(caught.value) == "unknown pooling 'avrage' (did you mean average?); known: average, gem, max"


def test_lookup_without_a_near_name():
    with pytest.raises(InputError) as caught:
        lookup({"max": 1, "gem": 3}, "zzz", "pooling")
    assert str(caught.value) == "unknown pooling 'zzz'; known: gem, max"


def test_nearest():
    assert nearest("mutul", ["knn", "mutual"]) == " (did you mean mutual?)"
    assert nearest("xyz", ["knn", "mutual"]) == ""
    assert nearest(2020, ["2021", "max"]) == " (did you mean 2021?)"


def test_command_returns_and_keeps_name_and_help():
    @command
    def main(a, b=2):
        """Add."""
        return a + b
    assert main(1, b=4) == 5
    assert main.__name__ == "main" and main.__doc__ == "Add."


@pytest.mark.parametrize("error, status, text", [
    (InputError("k is 0;\n  give a k  \n\tof at least 1\n"), 2, "error: k is 0; give a k of at least 1\n"),
    (OSError(errno.ENOSPC, "No space left on device"), 1,
     "error: no space left: No space left on device; free some space and run the same command again\n"),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "a.npy"), 1,
     "error: no space left while writing a.npy: Disk quota exceeded; free some space and run the same command again\n"),
    (OSError(errno.EACCES, "Permission denied", "a.npy"), 2,
     "error: a.npy: Permission denied; give another place, or make this one fit to be read and written\n"),
    (KeyboardInterrupt(), 130, "error: interrupted; run the same command again to resume\n")])
def test_command_exits_with_one_line(capsys, error, status, text):
    with pytest.raises(SystemExit) as caught:
        raising(error)()
    assert caught.value.code == status
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize("error", [
    ValueError("a bug"), OSError(errno.EBADF, "Bad file descriptor", "x"), OSError(errno.EACCES, "of no file"),
    SystemExit(7), MemoryError()])
def test_command_lets_other_errors_through(error):
    with pytest.raises(type(error)) as caught:
        raising(error)()
    assert caught.value is error
