"""Files that are complete or absent: everything is written under a temporary name and then renamed."""
import contextlib
import hashlib
import json
import os
import shutil

import numpy as np
import yaml

from slim_retrieval.common.errors import InputError


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any error."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    # The suffix stays last: np.save and image writers look at it.
    temporary = os.path.join(folder, ".partial-{}-{}".format(os.getpid(), os.path.basename(path)))
    try:
        with naming(path, temporary):
            yield temporary
            os.replace(temporary, path)
    finally:
        remove(temporary)


@contextlib.contextmanager
def naming(path, temporary=None):
    """Let an OSError that names no file, or `temporary`, name `path`: write(2) does not say which file is meant."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, temporary):
            error.filename = path
        raise


def remove(path):
    """Delete a file or a folder if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def make_folder(output):
    """Make the folder; InputError where that cannot be, or where nothing may be written to it."""
    check_writable(output, "give another --output")
    os.makedirs(output, exist_ok=True)


def check_writable(folder, advice):
    """Refuse a folder that cannot be written to, or cannot be made; make nothing.

    A long step asks this before it begins.
    """
    there = os.path.abspath(folder)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    reason = None
    if not os.path.isdir(there):
        reason = "{} is no folder".format(there)
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = "Permission denied"
    if reason:
        raise InputError("cannot write to {}: {}; {}".format(folder, reason, advice))


def check_file(path, flag):
    """Refuse a path, given by `flag`, that no file can be written to; write nothing."""
    advice = "give {} another file".format(flag)
    if os.path.isdir(path) or not os.path.basename(path):
        raise InputError("cannot write {}: it is a folder; {}".format(path, advice))
    check_writable(os.path.dirname(os.path.abspath(path)), advice)


def cache_folder(name):
    """Return a folder of the cache: ~/.cache/slim_retrieval/<name>; SLIM_RETRIEVAL_CACHE replaces its first part."""
    root = os.environ.get("SLIM_RETRIEVAL_CACHE") or os.path.join("~", ".cache", "slim_retrieval")
    return os.path.join(os.path.expanduser(root), name)


def write_text(path, text):
    """Write UTF-8 text to `path`, complete or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)


def write_json(path, value):
    """Write `value` as indented JSON to `path`, complete or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, default=_plain) + "\n")


def read_json(path):
    """Return the JSON value in `path`; InputError when it is damaged."""
    with open(path, encoding="utf-8") as stream:
        try:
            return json.load(stream)
        except ValueError as error:  # not JSON or not UTF-8
            raise InputError("{} is not valid JSON ({}); delete it or put the right file in its place".format(
                path, error)) from error


def write_yaml(path, value):
    """Write plain data as YAML to `path`, keys in the order given, complete or not at all."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, default_flow_style=None))


def write_array(path, array):
    """Write `array` (one dimension or more) as .npy to `path`, rows one after another, complete or not at all."""
    blocks = (array[start:start + 4096] for start in range(0, len(array), 4096))
    write_blocks(path, array.dtype, array.shape, blocks)


def write_blocks(path, dtype, shape, blocks):
    """Write an array that comes as blocks of its rows, one after another, as .npy to `path`, complete or not at all."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": tuple(shape)}
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        # Through the open stream: numpy's tofile() loses the reason of a short write (a full disk).
        np.lib.format.write_array_header_1_0(stream, header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block).tobytes())


def map_array(path, dtype, shape):
    """Return the array in a .npy file, mapped and read-only; ValueError where it is of another type or shape."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if (array.dtype.str, list(array.shape)) != (dtype, list(shape)):
        raise ValueError("{} holds {} {} instead of {} {}".format(
            path, array.dtype.str, list(array.shape), dtype, list(shape)))
    return array


def digest(*parts):
    """Return 16 hexadecimal digits of the SHA-256 of the parts (arrays, strings or JSON-like values)."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update("{}{}".format(part.dtype.str, part.shape).encode())
            for start in range(0, len(part), 4096):  # in blocks: the array may be memory-mapped and larger than memory
                sha.update(np.ascontiguousarray(part[start:start + 4096]).tobytes())
        else:
            sha.update(json.dumps(part, sort_keys=True, default=_plain).encode())
        sha.update(b"\0")  # so that digest(1, 23) is not digest(12, 3)
    return sha.hexdigest()[:16]


def _plain(value):
    """JSON's hook for NumPy scalars and arrays."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError("cannot write {} as JSON".format(type(value).__name__))
