"""The one place where TensorFlow is imported: `from slim_retrieval.common.tensorflow import tf, slim`.

`tf` is `tensorflow.compat.v1` in graph mode and `slim` is tf_slim, on TensorFlow 1.15 and on 2.15-2.21 alike.
tf-slim 1.1.0 calls Keras' legacy layers, which TensorFlow >= 2.13 no longer finds at their public path; tf_keras
still ships them, so they are put back where tf_slim looks.
"""
import importlib
import logging
import os
import sys
import warnings

from slim_retrieval.common.errors import InputError

# Both must be set before TensorFlow is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_LAYERS = ["base", "convolutional", "core", "normalization", "pooling"]


def _import_tensorflow():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TF 1.15 on NumPy >= 1.17: a screen of FutureWarnings about np.dtype.
        try:
            import tensorflow
        except ImportError as error:
            raise InputError("TensorFlow cannot be imported ({}); install it with: "
                             "pip install 'slim-retrieval[cpu]' (or [gpu])".format(error)) from error
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        v1 = tensorflow.compat.v1
        if tensorflow.__version__.startswith("2."):
            v1.disable_v2_behavior()
            _restore_legacy_layers()
        import tf_slim
    v1.logging.set_verbosity(v1.logging.ERROR)
    return v1, tf_slim


def _restore_legacy_layers():
    import tf_keras
    package = importlib.import_module("tf_keras.src.legacy_tf_layers")
    tf_keras.legacy_tf_layers = package
    sys.modules["tf_keras.legacy_tf_layers"] = package
    for name in _LAYERS:
        sys.modules["tf_keras.legacy_tf_layers." + name] = importlib.import_module(
            "tf_keras.src.legacy_tf_layers." + name)


tf, slim = _import_tensorflow()
