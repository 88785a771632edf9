"""The same features in every form; and what is no features."""
import builtins

import numpy as np
import pytest
import scipy.io

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.feature_files import load

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def write_hdf5(path, **arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(str(path), "w") as stored:
        for name, array in arrays.items():
            stored.create_dataset(name, data=array, compression="gzip" if name.startswith("packed") else None)
    return str(path)


def test_forms(tmp_path):
    np.save(str(tmp_path / "f.npy"), ROWS)
    np.savez(str(tmp_path / "f.npz"), features=ROWS, labels=np.arange(4))
    scipy.io.savemat(str(tmp_path / "f.mat"), {"X": ROWS.T, "Q": ROWS[:2].T})
    for name in ("f.npy", "f.npz", "f.mat"):
        found = load(str(tmp_path / name), "gallery")
        np.testing.assert_array_equal(found, ROWS)
        assert found.dtype == np.float32
    assert isinstance(load(str(tmp_path / "f.npy"), "gallery"), np.memmap)
    np.testing.assert_array_equal(load(str(tmp_path / "f.mat"), "query"), ROWS[:2])


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "u1"])
def test_hdf5_is_mapped_where_rows_lie_one_after_the_other(tmp_path, kind):
    rows = ROWS.astype(kind)
    path = write_hdf5(tmp_path / "f.h5", features=rows, index=np.array([b"a", b"b"]))
    found = load(path, "query")
    assert isinstance(found, np.memmap) and found.dtype == rows.dtype
    np.testing.assert_array_equal(found, rows)
    packed = load(write_hdf5(tmp_path / "g.hdf5", packed=rows), "query")
    assert not isinstance(packed, np.memmap)
    np.testing.assert_array_equal(packed, rows)


def test_mat_of_version_7_3(tmp_path):
    """HDF5 behind MATLAB's header, whose axes are in the other order: X of d x n is [n, d] there."""
    h5py = pytest.importorskip("h5py")
    path = str(tmp_path / "f.mat")
    with h5py.File(path, "w", userblock_size=512) as stored:
        stored.create_dataset("X", data=ROWS)
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(load(path, "gallery"), ROWS)


def test_which_array_is_meant(tmp_path):
    path = str(tmp_path / "f.npz")
    np.savez(path, a=ROWS, b=ROWS + 1, labels=np.arange(4))
    np.testing.assert_array_equal(load(path + ":b", "query"), ROWS + 1)
    with pytest.raises(InputError, match=r"query features: .*f.npz holds a \[4, 3\], b \[4, 3\], labels \[4\]; name"):
        load(path, "query")
    with pytest.raises(InputError, match="unknown array in .*f.npz 'c'; known: a, b, labels"):
        load(path + ":c", "query")
    np.savez(path, query=ROWS, features=ROWS + 1, labels=np.arange(4))
    np.testing.assert_array_equal(load(path, "query"), ROWS)
    np.testing.assert_array_equal(load(path, "gallery"), ROWS + 1)
    np.savez(path, anything=ROWS, labels=np.arange(4))
    np.testing.assert_array_equal(load(path, "train"), ROWS)


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="query features: no file .*none.h5"):
        load(str(tmp_path / "none.h5"), "query")
    for name in ("f.npy", "f.npz", "f.h5", "f.mat"):
        for content in (b"", b"nonsense" * 99):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(InputError, match="{} is damaged or not what its name says".format(name)) as error:
                load(str(tmp_path / name), "query")
            assert "\n" not in str(error.value)
    (tmp_path / "f.csv").write_text("1,2")
    with pytest.raises(InputError, match="unknown kind of file with features '.csv'.*known: .h5, .hdf5, .mat, .npy,"):
        load(str(tmp_path / "f.csv"), "query")
    np.save(str(tmp_path / "f.npy"), ROWS)
    with pytest.raises(InputError, match="f.npy is one array; leave out ':a'"):
        load(str(tmp_path / "f.npy") + ":a", "query")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


def test_a_pickle_inside_an_array_is_never_run(tmp_path):
    objects = np.array([[Bomb()]], object)
    np.save(str(tmp_path / "objects.npy"), objects, allow_pickle=True)
    np.savez(str(tmp_path / "objects.npz"), features=objects)
    for name in ("objects.npy", "objects.npz"):
        with pytest.raises(InputError, match=name + " is damaged or not what its name says"):
            load(str(tmp_path / name), "query")


def test_without_h5py_the_message_says_so(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "f.h5", features=ROWS)
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match="f.h5 is HDF5; `pip install h5py`"):
        load(path, "query")
