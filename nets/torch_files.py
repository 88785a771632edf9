"""Tensors from PyTorch's files, read without PyTorch and without running anything that they ask for.

Three layouts: `.safetensors` (a JSON header, then the values); `.pth` as torch.save writes it since 1.6 (a zip of one
pickle and a file for each storage); and the older one (four pickles and all storages, one after another), which most
of torchvision's public checkpoints still have.
"""
import io
import json
import os
import pickle
import zipfile
from collections import namedtuple

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.restricted_pickle import Forbidden, RestrictedUnpickler

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
             "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
             "ByteStorage": "u1", "BoolStorage": "?"}
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bfloat16", "I64": "<i8", "I32": "<i4",
                "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
# Under one of these keys training scripts keep the weights, beside optimizer and epoch.
_STATE_KEYS = ["state_dict", "model_state_dict", "model"]

_Storage = namedtuple("_Storage", "kind key count")
_Tensor = namedtuple("_Tensor", "storage offset shape strides")


def read_torch(path):
    """Return {name: array} of a .pth file; `module.` (DataParallel) is taken off the names.

    Raises:
      InputError: damaged, or it holds anything but tensors and plain data (a whole pickled model, say).
    """
    try:
        if zipfile.is_zipfile(path):
            value, load = _read_zip(path)
        else:
            value, load = _read_legacy(path)
        state = _state(value)
        arrays = {_without_module(name): _build(tensor, load) for name, tensor in state.items()
                  if isinstance(tensor, _Tensor)}
    except Forbidden as error:
        raise InputError("{} is refused: it asks for {}; save the state_dict alone: torch.save(model.state_dict(), "
                         "FILE)".format(path, error)) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError("{} is damaged or no file of torch.save ({}); fetch it again".format(
            path, " ".join(str(error).split()) or type(error).__name__)) from error
    return arrays


def read_safetensors(path):
    """Return {name: array} of a .safetensors file.

    Raises:
      InputError: damaged: no JSON header, an unknown type, or values beyond the file's end.
    """
    with open(path, "rb") as stream:
        content = stream.read()
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8:8 + length].decode())
        header.pop("__metadata__", None)
        return {name: _one_safetensor(content, 8 + length, spec) for name, spec in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError("{} is damaged or no .safetensors file ({!r}); fetch it again".format(path, error)) from error


class _Ordered(dict):
    """Stands for OrderedDict; what else is set on it (PyTorch's _metadata) is dropped."""

    def __setstate__(self, state):
        pass


class _TorchUnpickler(RestrictedUnpickler):
    def find_class(self, module, name):
        if module == "torch" and name in _STORAGES:
            return name
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return {"_rebuild_tensor_v2": self._tensor, "_rebuild_parameter": self._parameter}[name]
        if (module, name) == ("collections", "OrderedDict"):
            return _Ordered
        return super().find_class(module, name)

    def persistent_load(self, identity):
        what, kind, key, _, count = identity[:5]
        if what != "storage" or kind not in _STORAGES:
            raise Forbidden("storage {!r}".format(identity[:2]))
        return _Storage(kind, str(key), int(count))

    def _tensor(self, storage, offset, shape, strides, *_):
        if not isinstance(storage, _Storage):
            raise Forbidden("a tensor without storage")
        return _Tensor(storage, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in strides))

    def _parameter(self, tensor, *_):
        return tensor


def _read_zip(path):
    """Return (the value, function from a storage's key to its bytes)."""
    with zipfile.ZipFile(path) as archive:
        files = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist() if "/" in name}
    if files.get("byteorder", b"little") != b"little":
        raise ValueError("its byte order is {}".format(files["byteorder"].decode("latin1")))
    value = _TorchUnpickler(io.BytesIO(files["data.pkl"]), encoding="latin1").load()
    return value, lambda storage: files["data/" + storage.key]


def _read_legacy(path):
    with open(path, "rb") as stream:
        magic, _, _, value, keys = (_TorchUnpickler(stream, encoding="latin1").load() for _ in range(5))
        if magic != _LEGACY_MAGIC:
            raise ValueError("its first pickle is {!r}".format(magic))
        sizes = {storage.key: np.dtype(_plain(_STORAGES[storage.kind])).itemsize for storage in _storages(value)}
        content = {}
        for key in keys:
            count = int.from_bytes(stream.read(8), "little")
            content[str(key)] = stream.read(count * sizes[str(key)])
    return value, lambda storage: content[storage.key]


def _storages(value):
    if isinstance(value, _Tensor):
        return [value.storage]
    if isinstance(value, dict):
        value = list(value.values())
    return [one for item in value for one in _storages(item)] if isinstance(value, (list, tuple)) else []


def _state(value):
    """Return the dict of tensors: the value itself, or what it holds under one of _STATE_KEYS."""
    if not isinstance(value, dict):
        raise ValueError("it holds a {}, no state_dict".format(type(value).__name__))
    return next((value[key] for key in _STATE_KEYS if isinstance(value.get(key), dict)), value)


def _build(tensor, load):
    """Return the array of a tensor, after a look at its bounds."""
    flat = _array(load(tensor.storage), _STORAGES[tensor.storage.kind])
    if min(tensor.shape + tensor.strides + (tensor.offset,), default=0) < 0:
        raise ValueError("a tensor has negative sizes")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, flat.dtype)
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides))
    if len(tensor.shape) != len(tensor.strides) or last >= len(flat):
        raise ValueError("a tensor ends beyond its storage")
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset:], tensor.shape,
                                           [stride * flat.itemsize for stride in tensor.strides])
    return np.array(view)


def _one_safetensor(content, start, spec):
    first, last = spec["data_offsets"]
    if not 0 <= first <= last <= len(content) - start:
        raise ValueError("values beyond the end of the file")
    return _array(content[start + first:start + last], _SAFETENSORS[spec["dtype"]]).reshape(spec["shape"])


def _array(data, kind):
    """Return bytes as an array; bfloat16, which NumPy lacks, as float32."""
    flat = np.frombuffer(data, _plain(kind))
    return (flat.astype(np.uint32) << 16).view(np.float32) if kind == "bfloat16" else flat


def _plain(kind):
    return "<u2" if kind == "bfloat16" else kind


def _without_module(name):
    return name[len("module."):] if name.startswith("module.") else name


def is_legacy(path):
    """Return whether the file begins like the older layout of torch.save."""
    with open(path, "rb") as stream:
        return os.path.getsize(path) > 16 and stream.read(16).find(pickle.dumps(_LEGACY_MAGIC, 2)[2:-1]) == 2
