import io
import os
import tarfile

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets import archives


def test_folders_come_before_the_cache_and_the_cache_before_the_command(tmp_path):
    for folder in ("first", "cache"):
        (tmp_path / folder).mkdir()
    first, cache = str(tmp_path / "first"), str(tmp_path / "cache")
    command = ["sh", "-c", "echo made > it-1.tgz"]
    made = archives.obtain("it-*.tgz", command, [None, first], cache, "--source")
    assert made == os.path.join(cache, "it-1.tgz") and os.listdir(cache) == ["it-1.tgz"]
    assert archives.obtain("it-*.tgz", ["no such command"], [first], cache, "--source") == made
    (tmp_path / "first" / "it-0.tgz").write_text("mine")
    assert archives.obtain("it-*.tgz", ["no such command"], [first], cache, "--source") == first + "/it-0.tgz"


@pytest.mark.parametrize("command, expected", [
    (["sh", "-c", "echo first >&2; echo E: not found >&2; exit 7"], "ended with 7: E: not found; name a folder"),
    (["sh", "-c", "echo npm warn old >&2; echo npm error code E404 >&2; echo npm error A log: /x >&2; exit 1"],
     "ended with 1: npm error code E404; name a folder"),
    (["sh", "-c", "true"], "left no it-*.tgz; put it into a folder and name that with --path"),
    (["no-such-client"], "there is no no-such-client here; install it, or put the archives into a folder"),
])
def test_a_client_that_fails_is_quoted_and_leaves_nothing(tmp_path, command, expected):
    with pytest.raises(InputError) as error:
        archives.obtain("it-*.tgz", command, [], str(tmp_path / "cache"), "--path")
    assert expected in str(error.value) and "\n" not in str(error.value)
    assert os.listdir(str(tmp_path / "cache")) == []


def test_a_command_that_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SECONDS", 0.1)
    with pytest.raises(InputError, match="sleep 5 took longer than 0.1 s; try again, or name a folder"):
        archives.run(["sleep", "5"], str(tmp_path), "--path")


def test_a_tar_is_read_in_place_and_a_cut_one_is_named(tmp_path):
    path = str(tmp_path / "it.tgz")
    with tarfile.open(path, "w:gz") as tar:
        for name, content in [("package/a", os.urandom(5000)), ("package/b", b"two"), ("../evil", b"three")]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert archives.read_tar(path, lambda name: name.endswith("b")) == {"package/b": b"two"}
    with open(path, "rb") as stream:
        content = stream.read()
    with open(path, "wb") as stream:
        stream.write(content[:3000])
    with pytest.raises(InputError, match="it.tgz cannot be read .*; delete it"):
        archives.read_tar(path, lambda name: True)
