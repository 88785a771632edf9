"""The one place where TensorFlow is imported: `from slim_retrieval.common.tensorflow import tf, slim`.

`tf` is `tensorflow.compat.v1` in graph mode and `slim` is tf_slim, on TensorFlow 1.15 and on 2.15-2.21 alike.
tf-slim 1.1.0 calls Keras' legacy layers, which TensorFlow >= 2.13 no longer finds at their public path; tf_keras
still ships them, so they are put back where tf_slim looks, and so is the class Tensor. Networks are `slim.nets.<name>`.
"""
import contextlib
import importlib
import logging
import os
import re
import sys
import tempfile
import warnings

from slim_retrieval.common.errors import InputError

# Who sets TF_CPP_MIN_LOG_LEVEL to 0 or 1 sees all that TensorFlow writes; else its notes of level I are kept off.
_QUIET = os.environ.get("TF_CPP_MIN_LOG_LEVEL") not in ("0", "1")
# Both must be set before TensorFlow is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Where no NVIDIA driver is loaded, TensorFlow >= 2.20 tells of it as an error (E0000 cuInit) at the first session: 3
# keeps off even that. With a driver, errors are shown. Either way the towers' log lines say where things run.
_DRIVER = any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/dxg"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _DRIVER else "3")

# Notes of level I. TensorFlow >= 2.18 writes them on import whatever TF_CPP_MIN_LOG_LEVEL says, for its logging
# is not set up by then.
_NOTE = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)")

_LAYERS = ["base", "convolutional", "core", "normalization", "pooling"]


def _import_tensorflow():
    with warnings.catch_warnings(), _notes_kept_off():
        warnings.simplefilter("ignore")  # TF 1.15 on NumPy >= 1.17: a screen of FutureWarnings about np.dtype.
        try:
            v1, tf_slim = _import_both()
        except Exception as error:  # not ImportError alone: TF 1.15 beside a newer protobuf raises TypeError
            raise InputError("TensorFlow with tf-slim cannot be imported ({}); install both with: "
                             "pip install '.[cpu]' (or '.[gpu]') in the project's folder".format(error)) from error
    # Advice to call other functions; they are called by tf_slim, not by us.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"tensorflow\.python\.keras\.")
    v1.logging.set_verbosity(v1.logging.ERROR)
    return v1, tf_slim


def _import_both():
    import tensorflow
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    v1 = tensorflow.compat.v1
    if tensorflow.__version__.startswith("2."):
        v1.disable_v2_behavior()
        _restore_legacy_layers()
        _restore_tensor(v1)
    import tf_slim
    import tf_slim.nets  # so that slim.nets.resnet_v1 is there
    return v1, tf_slim


def _restore_legacy_layers():
    import tf_keras
    package = importlib.import_module("tf_keras.src.legacy_tf_layers")
    tf_keras.legacy_tf_layers = package
    sys.modules["tf_keras.legacy_tf_layers"] = package
    for name in _LAYERS:
        sys.modules["tf_keras.legacy_tf_layers." + name] = importlib.import_module(
            "tf_keras.src.legacy_tf_layers." + name)


def _restore_tensor(v1):
    """Put the class Tensor back where tf_slim looks: its batch_norm of [batch, width] fails without."""
    from tensorflow.python.framework import ops
    if not hasattr(ops, "Tensor"):
        ops.Tensor = v1.Tensor


@contextlib.contextmanager
def _notes_kept_off():
    """Hold back what is written to the process's stderr; at the end give out all but notes, on an error all of it."""
    try:
        stderr = os.dup(2) if _QUIET else None
    except OSError:  # a process without stderr
        stderr = None
    if stderr is None:
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        wanted = list
        try:
            yield
            wanted = _without_notes
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in wanted(held):
                os.write(2, line)


def _without_notes(lines):
    return [line for line in lines if not _NOTE.match(line)]


tf, slim = _import_tensorflow()
