"""PyTorch's files without PyTorch: written here byte by byte as torch.save does, and by it where it is installed."""
import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.nets.torch_files import is_legacy, read_safetensors, read_torch

RANDOM = np.random.RandomState(0)
# The second is a view of the first one's storage: transposed, and from its third value on.
FLAT = RANDOM.randn(24).astype(np.float32)
TENSORS = {"conv.weight": ("FloatStorage", "0", FLAT, 0, (4, 6), (6, 1)),
           "module.view": ("FloatStorage", "0", FLAT, 2, (3, 2), (1, 4)),
           "count": ("LongStorage", "1", np.array([7], np.int64), 0, (), ()),
           "half": ("HalfStorage", "2", np.array([0.5, 2], np.float16), 0, (2,), (1,)),
           "none": ("FloatStorage", "3", np.zeros(0, np.float32), 0, (0, 3), (3, 1)),
           "brain": ("BFloat16Storage", "4", np.array([0x3FC0, 0xC040], np.uint16), 0, (2,), (1,))}
VALUES = {"conv.weight": FLAT.reshape(4, 6), "view": FLAT[np.array([[2, 6], [3, 7], [4, 8]])], "count": np.array(7),
          "half": np.array([0.5, 2]), "none": np.zeros((0, 3)), "brain": np.array([1.5, -3.0])}


class Tensor:
    def __init__(self, parts):
        self.parts = parts

    def __reduce__(self):
        kind, key, data, offset, shape, strides = self.parts
        storage = Stored((kind, key, data))
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            storage, offset, shape, strides, False, collections.OrderedDict())


class Stored:
    def __init__(self, parts):
        self.parts = parts


class Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, value):
        if not isinstance(value, Stored):
            return None
        kind, key, data = value.parts
        identity = ("storage", getattr(sys.modules["torch"], kind), key, "cpu", len(data))
        return identity + (None,) if self.legacy else identity


@pytest.fixture
def torch_names(monkeypatch):
    """Names to pickle by reference, as if PyTorch were there."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in {parts[0] for parts in TENSORS.values()}:
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError("never called")
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def dumps(value, legacy=False):
    stream = io.BytesIO()
    pickler = Pickler(stream, 2)
    pickler.legacy = legacy
    pickler.dump(value)
    return stream.getvalue()


def state(tensors=None):
    tensors = TENSORS if tensors is None else tensors
    result = collections.OrderedDict((name, Tensor(parts)) for name, parts in tensors.items())
    result._metadata = collections.OrderedDict([("", {"version": 1})])
    return result


def write_zip(path, value, tensors=None, byteorder=b"little"):
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("archive/data.pkl", dumps(value))
        archive.writestr("archive/byteorder", byteorder)
        for key, data in {parts[1]: parts[2] for parts in (tensors or TENSORS).values()}.items():
            archive.writestr("archive/data/" + key, data.tobytes())
    return str(path)


def write_legacy(path, value):
    storages = {parts[1]: parts[2] for parts in TENSORS.values()}
    with open(str(path), "wb") as stream:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            stream.write(pickle.dumps(part, 2))
        stream.write(dumps(value, legacy=True))
        stream.write(pickle.dumps(sorted(storages), 2))
        for key in sorted(storages):
            stream.write(struct.pack("<q", len(storages[key])) + storages[key].tobytes())
    return str(path)


def check(found):
    assert set(found) == set(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"epoch": 3, "state_dict": s}, lambda s: {"model": s}])
def test_what_torch_save_writes(torch_names, tmp_path, write, wrap):
    path = write(tmp_path / "x.pth", wrap(state()))
    check(read_torch(path))
    assert is_legacy(path) == (write is write_legacy)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_whole_model_is_refused_and_nothing_is_run(torch_names, tmp_path, write):
    path = write(tmp_path / "x.pth", {"state_dict": state(), "model": types.SimpleNamespace(a=1)})
    with pytest.raises(InputError) as error:
        read_torch(path)
    assert "is refused: it asks for types.SimpleNamespace; save the state_dict alone" in str(error.value)


@pytest.mark.parametrize("parts, reason", [
    (("FloatStorage", "0", FLAT, 20, (5,), (1,)), "ends beyond its storage"),
    (("FloatStorage", "0", FLAT, 0, (2,), (2**40,)), "ends beyond its storage"),
    (("FloatStorage", "0", FLAT, 8, (3,), (-4,)), "negative sizes"),
])
def test_tensors_that_reach_out_of_their_storage(torch_names, tmp_path, parts, reason):
    path = write_zip(tmp_path / "x.pth", state({"w": parts}), {"w": parts})
    with pytest.raises(InputError, match=reason):
        read_torch(path)


def test_damaged_files(torch_names, tmp_path):
    whole = write_legacy(tmp_path / "x.pth", state())
    with open(whole, "rb") as stream:
        content = stream.read()
    (tmp_path / "half.pth").write_bytes(content[:len(content) // 2])
    for path in (str(tmp_path / "half.pth"), write_zip(tmp_path / "big.pth", state(), byteorder=b"big"),
                 write_zip(tmp_path / "list.pth", [1, 2])):
        with pytest.raises(InputError, match="is damaged or no file of torch.save"):
            read_torch(path)


def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors(tmp_path):
    one, two = np.arange(6, dtype="<f4"), np.array([0x3FC0, 0xC040], "<u2")
    content = safetensors({"__metadata__": {"format": "pt"},
                           "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                           "b": {"dtype": "BF16", "shape": [2], "data_offsets": [24, 28]}},
                          one.tobytes() + two.tobytes())
    (tmp_path / "x.safetensors").write_bytes(content)
    found = read_safetensors(str(tmp_path / "x.safetensors"))
    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"], [1.5, -3.0])
    (tmp_path / "cut.safetensors").write_bytes(content[:-2])
    with pytest.raises(InputError, match="is damaged or no .safetensors file"):
        read_safetensors(str(tmp_path / "cut.safetensors"))


def test_what_pytorch_itself_writes(tmp_path):
    torch = pytest.importorskip("torch")
    values = {"a": torch.randn(3, 4).t(), "b": torch.tensor(3), "c": torch.nn.Parameter(torch.randn(2)).half()}
    for legacy in (False, True):
        path = str(tmp_path / "x.pth")
        torch.save(collections.OrderedDict(values), path, _use_new_zipfile_serialization=not legacy)
        assert is_legacy(path) == legacy
        found = read_torch(path)
        for name, value in values.items():
            np.testing.assert_array_equal(found[name], value.detach().numpy())
