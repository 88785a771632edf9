"""Features from anywhere, as an array [n, d]: .npy, .npz, HDF5, and MATLAB's .mat (d x n, as revisited's files are).

A file with several arrays is asked for the one that is meant: F.mat:Q. Without that it is, in this order, the array
that is called after the split (query, gallery, train), `Q` for queries and `X` for all else (revisited Oxford and
Paris), `features` (ILIAS), or the only two-dimensional array of numbers.

.npy and uncompressed HDF5 are memory-mapped; the others are read into memory.
"""
import os
import zipfile

import numpy as np
import scipy.io

from slim_retrieval.common.errors import InputError, lookup


def load(path, name):
    """Return the array [n, d] of features in a file, of whatever real type, read-only where it is memory-mapped.

    Args:
      path: the file; `FILE:ARRAY` names one of its arrays.
      name: "query", "gallery" or "train": what it is used as.

    Raises:
      InputError: missing, damaged or of an unknown kind, Python objects (never unpickled), or no single array that can
        be meant.
    """
    path, array = _split(path)
    if not os.path.isfile(path):
        raise InputError("{} features: no file {}; extract features first or name an existing file".format(name, path))
    reader = lookup(READERS, os.path.splitext(path)[1].lower() or ".npy", "kind of file with features")
    try:
        return reader(path, name, array)
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise InputError("{} features: {} is damaged or not what its name says ({}); save it again".format(
            name, path, " ".join(str(error).split()) or type(error).__name__)) from error


def _read_npy(path, name, array):
    if array:
        raise InputError("{} features: {} is one array; leave out {!r}".format(name, path, ":" + array))
    with open(path, "rb") as stream:
        np.lib.format.read_magic(stream)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_npz(path, name, array):
    if not zipfile.is_zipfile(path):
        raise ValueError("no zip archive")
    with np.load(path, allow_pickle=False) as stored:
        headers = {one: _npz_header(path, one) for one in stored.files}
        return stored[_choose(headers, name, array, path)]


def _npz_header(path, name):
    """Return (shape, dtype) of an array without reading it."""
    with zipfile.ZipFile(path) as archive, archive.open(name + ".npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        return shape, kind


def _read_hdf5(path, name, array):
    h5py = _h5py(path)
    with h5py.File(path, "r") as stored:
        found = {}
        stored.visititems(lambda one, item: found.update({one: (item.shape, item.dtype)})
                          if isinstance(item, h5py.Dataset) else None)
        dataset = stored[_choose(found, name, array, path)]
        offset = dataset.id.get_offset()  # None where the rows do not lie one after the other
        if offset is None or dataset.size == 0:
            return dataset[()]
        return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)


def _read_mat(path, name, array):
    try:
        found = {one: (shape, np.dtype(_MATLAB.get(kind, "O"))) for one, shape, kind in scipy.io.whosmat(path)}
    except NotImplementedError:  # version 7.3 is HDF5, where MATLAB's d x n is n x d
        return _read_hdf5(path, name, array)
    chosen = _choose(found, name, array, path)
    return scipy.io.loadmat(path, variable_names=[chosen])[chosen].T


READERS = {".npy": _read_npy, ".npz": _read_npz, ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".mat": _read_mat}
_MATLAB = {"double": "f8", "single": "f4", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1",
           "uint16": "u2", "uint32": "u4", "uint64": "u8"}


def _choose(found, name, array, path):
    """Return the name of the array that is meant; `found` is {name: (shape, dtype)}."""
    if array:
        return lookup(dict(found), array, "array in " + path) and array
    for wanted in (name, "Q" if name == "query" else "X", "features"):
        if wanted in found:
            return wanted
    fitting = [one for one, (shape, kind) in found.items() if len(shape) == 2 and np.dtype(kind).kind in "fiu"]
    if len(fitting) != 1:
        raise InputError("{} features: {} holds {}; name the array, as in {}:NAME".format(name, path, ", ".join(
            "{} {}".format(one, list(shape)) for one, (shape, _) in found.items()) or "nothing", path))
    return fitting[0]


def _split(path):
    """Return (file, array) of FILE:ARRAY, or (path, "")."""
    file, colon, array = path.rpartition(":")
    return (file, array) if colon and not os.path.exists(path) and os.path.isfile(file) else (path, "")


def _h5py(path):
    try:
        import h5py
    except ImportError as error:
        raise InputError("{} is HDF5; `pip install h5py`, or save its features with numpy.save".format(
            path)) from error
    return h5py
