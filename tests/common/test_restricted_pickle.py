"""Restricted pickles: what an ordinary unpickler gives for plain data, and nothing run for the rest."""
import collections
import os
import pickle
import struct

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.restricted_pickle import read_pickle

PLAIN = [None, True, -3, 2**70, 1.5, "ä€", b"\x00\xff", b"", bytearray(b"ab"), [1, [2]], (1, (2, "x")), {}, [],
         {"gnd": [{"easy": [1, 2], "bbx": [136.5, 34.1, 648.5, 955.7]}], 3: (4,)}, {1, 2}, frozenset("a")]
ARRAYS = [np.arange(6.0).reshape(2, 3), np.arange(6, dtype=np.int32).reshape(2, 3).T, np.asfortranarray(np.eye(3)),
          np.array(5, np.uint8), np.zeros((0, 4), np.float32), np.array([True, False]), np.array(["ab", "c"]),
          np.array([b"ab", b"c"]), np.array([1, 2], ">i4"), np.array([1.5], ">f8")]
PROTOCOLS = range(min(pickle.HIGHEST_PROTOCOL, 5) + 1)


@pytest.fixture
def loaded(tmp_path):
    """Write bytes to a file and read it."""
    def load(content, **options):
        path = str(tmp_path / "x.pkl")
        with open(path, "wb") as stream:
            stream.write(content)
        return read_pickle(path, **options)
    return load


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_comes_back(loaded, value, protocol):
    got = loaded(pickle.dumps(value, protocol))
    assert got == value and isinstance(got, bytes if isinstance(value, bytearray) and protocol < 5 else type(value))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: "{}{}".format(a.dtype.str, a.shape))
def test_arrays_come_back(loaded, array, protocol):
    got = loaded(pickle.dumps({"a": array, "b": [array]}, protocol))
    for one in (got["a"], got["b"][0]):
        assert type(one) is np.ndarray and one.dtype == array.dtype and one.shape == array.shape
        np.testing.assert_array_equal(one, array)
    got["a"][...] = got["a"]  # may be written to


def test_arrays_of_objects_scalars_and_shared_values(loaded):
    ragged = np.empty(2, object)
    ragged[0], ragged[1] = [1, 2], np.arange(3)
    got = loaded(pickle.dumps([ragged, np.float32(1.5), np.int64(-2), np.str_("x")]))
    assert got[0].dtype == object and got[0][0] == [1, 2] and got[0][1].tolist() == [0, 1, 2]
    assert got[1:] == [1.5, -2, "x"] and got[1].dtype == np.float32
    array, endless = np.arange(2), [1]
    endless.append(endless)
    one, other = loaded(pickle.dumps([array, array]))
    assert one is other
    assert loaded(pickle.dumps(endless))[1][1][0] == 1


def test_files_of_python_2(loaded):
    """Python 2 writes NumPy's bytes and all names as its `str`; written here by hand, opcode by opcode."""
    def text(content):
        return b"U" + struct.pack("B", len(content)) + content
    raw = np.array([1, 200], np.uint8).tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR(K\x01(K\x02t"
             b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ"
             b"\xff\xff\xff\xffK\x00tbI00\n" + text(raw) + b"tb")
    content = b"\x80\x02}(" + text(b"data") + array + text(b"name\xe9") + text(b"x\xe9") + b"u."
    got = loaded(content)
    assert got["data"].tolist() == [1, 200] and got["data"].dtype == np.uint8 and got["name\xe9"] == "x\xe9"
    assert loaded(content, encoding="bytes")[b"name\xe9"] == b"x\xe9"


class Calls:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function, arguments, named", [
    (os.system, ["touch {}"], "system"), (os.mkdir, ["{}"], "mkdir"), (eval, ["open('{}', 'w')"], "eval"),
    (exec, ["open('{}', 'w')"], "exec"), (getattr, ["x", "__class__"], "getattr"), (open, ["{}", "w"], "open"),
    (np.load, ["{}"], "load"), (np.fromfile, ["{}"], "fromfile"), (collections.Counter, [["a"]], "Counter")])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_run(loaded, tmp_path, function, arguments, named, protocol):
    target = str(tmp_path / "made")
    content = pickle.dumps([1, Calls(function, *[a.format(target) if isinstance(a, str) else a for a in arguments])],
                           protocol)
    with pytest.raises(InputError, match=r"refused: it asks for \S*{}, and only plain data".format(named)):
        loaded(content)
    assert not os.path.exists(target)


def test_forged_arrays_are_refused(loaded):
    """Object pointers from bytes, flags of a dtype, a wrong size, structured types: each could crash NumPy."""
    def forged(code, shape, data):
        return pickle.dumps(Calls(np.core.numeric._frombuffer if np.__version__ < "2" else np._core.numeric._frombuffer,
                                  data, np.dtype(code), shape, "C"), 2)
    for content in [forged("f8", (2,), b"12345678"), forged("O", (1,), b"12345678"), forged("f8", (-1,), b"12345678")]:
        with pytest.raises(InputError, match="damaged or no pickle"):
            loaded(content)
    for code in ["i4,i4", "M8[s]", "V8"]:
        with pytest.raises(InputError, match="refused"):
            loaded(pickle.dumps(np.zeros(1, code), 2))


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"hello", pickle.dumps([1] * 50)[:-9], b"\x80\x63.",
                                     b"cnumpy\nndarray\n)R.", b"cnumpy\ndtype\n(tR.", b"cnumpy\ndtype\n(NtR."])
def test_damaged_files(loaded, content):
    with pytest.raises(InputError, match="x.pkl is damaged or no pickle"):
        loaded(content)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no file .*none.pkl"):
        read_pickle(str(tmp_path / "none.pkl"))
