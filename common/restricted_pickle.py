"""Read pickles that others made, without running anything that they ask for: plain data and NumPy arrays only.

A pickle is a small program, and an ordinary unpickler calls whatever the program names. Here a name is looked up in a
fixed list; even NumPy's own functions are not called with what the file says (a forged dtype can crash the process):
arrays are taken as type, shape and bytes, checked, and built at the end.

Source of the layout: numpy/core/src/multiarray/methods.c, `array_reduce` and `array_setstate`
"""
import io
import os
import pickle

import numpy as np

from slim_retrieval.common.errors import InputError

_MODULES = ["numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"]
_KINDS = "biufcSU"  # bool, int, unsigned, float, complex, bytes, text


def read_pickle(path, encoding="latin1"):
    """Return the plain value in a pickle file: None, numbers, text, bytes, lists, tuples, dicts, sets, NumPy arrays.

    Args:
      path: the file.
      encoding: how text written by Python 2 is read: latin1 gives str, "bytes" gives bytes.

    Raises:
      InputError: no such file, damaged, or it asks for anything else; the message names what.
    """
    if not os.path.isfile(path):
        raise InputError("no file {}; give an existing pickle".format(path))
    with open(path, "rb") as stream:
        content = stream.read()
    try:
        return _resolve(RestrictedUnpickler(io.BytesIO(content), encoding=encoding).load(), {})
    except Forbidden as error:
        raise InputError("{} is refused: it asks for {}, and only plain data and NumPy arrays are read; get the file "
                         "from its publisher".format(path, error)) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError("{} is damaged or no pickle ({}); fetch it again".format(
            path, " ".join(str(error).split()) or type(error).__name__)) from error


class Forbidden(Exception):
    """The pickle names something that is not on the list."""


class RestrictedUnpickler(pickle.Unpickler):
    """Plain data; arrays are left as they stand in the file, for `read_pickle` to build. Raises Forbidden."""

    def find_class(self, module, name):
        # Bound methods: nothing can be set on them from within a pickle.
        numpy_names = {"_reconstruct": self._array, "dtype": self._type, "scalar": self._scalar, "ndarray": "ndarray",
                       "_frombuffer": self._from_buffer}
        if module in _MODULES and name in numpy_names:
            return numpy_names[name]
        if module in ("builtins", "__builtin__") and name in ("set", "frozenset"):
            return {"set": set, "frozenset": frozenset}[name]
        if module in ("builtins", "__builtin__") and name in ("bytes", "bytearray"):
            return self._bytes
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return self._bytes
        raise Forbidden("{}.{}".format(module, name))

    def _array(self, *_):
        return _Array()

    def _type(self, code, *_):
        return _Type(code)

    def _scalar(self, kind, data=None):
        return data if kind.dtype().hasobject else np.frombuffer(_raw(data), kind.dtype(), 1)[0]

    def _from_buffer(self, data, kind, shape, order):
        array = _Array()
        array.__setstate__((1, shape, kind, order == "F", data))
        return array

    def _bytes(self, content="", encoding="latin1"):
        if encoding not in ("latin1", "latin-1") or not isinstance(content, (str, bytes)):
            raise Forbidden("bytes from {}".format(type(content).__name__))
        return _raw(content)


class _Type:
    """An element type: its code, such as f8, and its byte order."""

    def __init__(self, code):
        self._code, self._order = _text(code), "="

    def __setstate__(self, state):
        self._order = _text(state[1])

    def dtype(self):
        if self._code in ("O", "O8", "O4"):
            return np.dtype(object)
        kind = np.dtype(self._code)
        if kind.kind not in _KINDS or kind.names or self._order not in "<>=|":
            raise Forbidden("arrays of {}".format(kind))
        return kind if self._order in "|=" else kind.newbyteorder(self._order)


class _Array:
    """An array that is not built yet."""

    def __setstate__(self, state):
        _, self._shape, self._type, self._is_fortran, self._data = state

    def build(self, known):
        kind, size = self._type.dtype(), int(np.prod(self._shape, dtype=np.int64))
        if kind.hasobject:
            flat = np.empty(size, object)
            if len(self._data) != size:
                raise ValueError("{} objects for shape {}".format(len(self._data), self._shape))
            for i, value in enumerate(self._data):
                flat[i] = _resolve(value, known)
        else:
            data = _raw(self._data)
            if len(data) != size * kind.itemsize:
                raise ValueError("{} bytes for shape {} of {}".format(len(data), self._shape, kind))
            flat = np.frombuffer(bytearray(data), kind) if data else np.empty(0, kind)  # bytearray: may be written to
        return flat.reshape(self._shape, order="F" if self._is_fortran else "C")


def _text(value):
    if isinstance(value, bytes):  # Python 2's text, read with encoding "bytes"
        return value.decode("latin1")
    if not isinstance(value, str):
        raise TypeError("{!r} is no text".format(value))
    return value


def _raw(data):
    """Return bytes: text is what Python 2 wrote for them, read as latin1."""
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _resolve(value, known):
    """Return the value with all arrays built; `known` keeps what stands in several places one thing."""
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, _Array):
        result = value.build(known)
    elif isinstance(value, _Type):
        result = value.dtype()
    elif isinstance(value, list):
        known[id(value)] = value, value  # before its items: it may hold itself
        value[:] = [_resolve(item, known) for item in value]
        return value
    elif isinstance(value, dict):
        known[id(value)] = value, value
        items = [(_resolve(key, known), _resolve(item, known)) for key, item in value.items()]
        value.clear()
        value.update(items)
        return value
    elif isinstance(value, (tuple, set, frozenset)):
        result = type(value)(_resolve(item, known) for item in value)
    elif value is None or isinstance(value, (bool, int, float, str, bytes, bytearray, np.generic)):
        return value
    else:
        raise Forbidden("a value of {}".format(type(value).__name__))
    known[id(value)] = value, result  # the value itself is kept too, so that its id stays taken
    return result
