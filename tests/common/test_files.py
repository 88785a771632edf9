import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import yaml

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError


def test_replacing_makes_folders_and_leaves_only_the_file(tmp_path):
    path = str(tmp_path / "a" / "b" / "x.png")
    with files.replacing(path) as temporary:
        assert os.path.dirname(temporary) == os.path.dirname(path)  # else the rename would not be atomic
        assert temporary.endswith(".png")
        with open(temporary, "w") as stream:
            stream.write("new")
        assert not os.path.exists(path)
    assert os.listdir(str(tmp_path / "a" / "b")) == ["x.png"]
    assert open(path).read() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacing_on_an_error_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), files.replacing(str(path)) as temporary:
        with open(temporary, "w") as stream:
            stream.write("half")
        raise error()
    assert os.listdir(str(tmp_path)) == ["x.txt"] and path.read_text() == "old"


def test_replacing_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_text("x.txt", "\u00e9")
    assert (tmp_path / "x.txt").read_bytes() == b"\xc3\xa9"


def test_replacing_removes_a_folder_too(tmp_path):
    with pytest.raises(ValueError), files.replacing(str(tmp_path / "x")) as temporary:
        os.makedirs(os.path.join(temporary, "below"))
        raise ValueError()
    assert os.listdir(str(tmp_path)) == []


def test_remove(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "x").write_text("x")
    os.symlink("kept", str(tmp_path / "link"))
    os.symlink("nowhere", str(tmp_path / "dangling"))
    for name in ("link", "dangling", "absent"):
        files.remove(str(tmp_path / name))
    assert os.listdir(str(tmp_path)) == ["kept"] and (tmp_path / "kept" / "x").exists()
    files.remove(str(tmp_path / "kept"))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.float64, np.bool_])
@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 4), (5000, 2), (7,), (0,), (2, 3, 4), (4, 0)])
def test_write_array_reads_back_as_numpy_saves_it(tmp_path, dtype, shape):
    array = (np.random.RandomState(0).rand(*shape) * 100).astype(dtype)
    path = str(tmp_path / "a.npy")
    files.write_array(path, array)
    np.save(str(tmp_path / "reference.npy"), array)
    assert open(path, "rb").read() == (tmp_path / "reference.npy").read_bytes()
    read = np.load(path)
    assert read.dtype == array.dtype and read.shape == shape
    np.testing.assert_array_equal(read, array)


def test_write_array_of_arrays_that_do_not_lie_row_by_row(tmp_path):
    array = np.arange(30000, dtype=np.float32).reshape(5000, 6)
    np.save(str(tmp_path / "m.npy"), array)
    path = str(tmp_path / "a.npy")
    for view in (array.T, array[::-1], array[:, ::2], np.asfortranarray(array), array[10:4990:3].T,
                 np.load(str(tmp_path / "m.npy"), mmap_mode="r")[5:]):
        files.write_array(path, view)
        np.testing.assert_array_equal(np.load(path), view)
        np.testing.assert_array_equal(np.load(path, mmap_mode="r"), view)


FULL_DISK = textwrap.dedent("""
    import resource, signal, sys
    import numpy as np
    from slim_retrieval.common import files
    from slim_retrieval.common.errors import command
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)   # then write() fails with EFBIG, as it does with ENOSPC when full
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
    @command
    def main():
        files.{}
    main()
""")


@pytest.mark.parametrize("call", [
    "write_array(sys.argv[1], np.zeros([50000, 8], np.float32))",
    "write_json(sys.argv[1], list(range(100000)))",
    "write_yaml(sys.argv[1], {'text': 'x' * 200000})"])
def test_full_disk_is_one_line_and_loses_nothing(tmp_path, call):
    path = tmp_path / "kept.npy"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK.format(call), str(path)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: no space left while writing ")
    assert str(path) in done.stderr
    assert os.listdir(str(tmp_path)) == ["kept.npy"] and path.read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_beforehand(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    for call in (lambda: files.check_writable(str(tmp_path / "locked" / "a"), "do X"),
                 lambda: files.check_file(str(tmp_path / "locked" / "a.json"), "--json")):
        with pytest.raises(InputError, match="locked.*: Permission denied; "):
            call()


def test_places_are_checked_without_making_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open("file", "w").close()
    for place in ("", ".", "a/b/c", str(tmp_path / "d")):
        files.check_writable(place, "do X")
    for path in ("file", "new", "a/b/new"):
        files.check_file(path, "--json")
    for call, message in (
            (lambda: files.check_writable("file/a/b", "do X"), "cannot write to file/a/b: .*file is no folder; do X$"),
            (lambda: files.check_file("file/a", "--json"), "file is no folder; give --json another file$"),
            (lambda: files.check_file(".", "--json"), "cannot write [.]: it is a folder; give --json another file$"),
            (lambda: files.check_file("new/", "--json"), "cannot write new/: it is a folder")):
        with pytest.raises(InputError, match=message):
            call()
    assert os.listdir(".") == ["file"]


def test_json_of_numpy_values(tmp_path):
    path = str(tmp_path / "x.json")
    files.write_json(path, {"b": np.float32(0.5), "a": np.arange(3), "c": np.int64(2 ** 40), "d": [np.bool_(True)]})
    assert files.read_json(path) == {"a": [0, 1, 2], "b": 0.5, "c": 2 ** 40, "d": [True]}
    with pytest.raises(TypeError, match="cannot write set as JSON"):
        files.write_json(path, {1})
    assert files.read_json(path)["b"] == 0.5


@pytest.mark.parametrize("content", [b"{\"a\": ", b"\xff\xfe", b""])
def test_damaged_json_is_bad_input(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="x.json is not valid JSON .*; delete it or put the right file in its place"):
        files.read_json(str(path))


def test_yaml_keeps_order(tmp_path):
    path = tmp_path / "x.yaml"
    files.write_yaml(str(path), {"z": [1, 2], "a": {"text": "2020", "number": 1e-5}})
    assert list(yaml.safe_load(path.read_text())) == ["z", "a"]
    assert yaml.safe_load(path.read_text()) == {"z": [1, 2], "a": {"text": "2020", "number": 1e-5}}


def test_digest_is_short_hex_and_repeats():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    value = files.digest(array, "x", {"b": 1, "a": [None, 2.5]}, ("t", 1))
    assert len(value) == 16 and int(value, 16) >= 0
    assert value == files.digest(array.copy(), "x", {"a": [None, 2.5], "b": 1}, ["t", 1])


def test_digest_tells_apart():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    other = array.copy()
    other[2, 3] += 1
    parts = [(array,), (other,), (array.reshape(4, 3),), (array.reshape(12),), (array.astype(np.float64),),
             (array.astype(np.int32),), (array.T,), (array[:2],), (array[:0],), (array, array), (array.astype(">f4"),),
             ("ab", "c"), ("a", "bc"), (1, 23), (12, 3), (123,), ("123",), ([1, 23],), (), (None,), ("",), ({},)]
    assert len({files.digest(*part) for part in parts}) == len(parts)


def test_digest_of_a_memory_map_and_of_views_is_that_of_the_array(tmp_path):
    array = np.random.RandomState(0).rand(9000, 3).astype(np.float32)
    np.save(str(tmp_path / "a.npy"), array)
    assert files.digest(np.load(str(tmp_path / "a.npy"), mmap_mode="r")) == files.digest(array)
    assert files.digest(np.asfortranarray(array)) == files.digest(array)
    assert files.digest(array[::2]) == files.digest(array[::2].copy())
