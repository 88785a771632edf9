"""Pictures to MobileNetV2 features with this project's own network, from Keras weights or a slim checkpoint."""
import dataclasses
import hashlib
import os
import tempfile

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.progress import progress
from slim_retrieval.datasets.images import resize
from slim_retrieval.nets.convert import save_checkpoint
from slim_retrieval.nets.extraction import FeatureNetwork
from slim_retrieval.nets.keras_import import read_mobilenet_v2

SIZE, BATCH = 96, 64
END_POINT, POOLING = "layer_19", "average"


def features(pictures, weights, size=SIZE):
    """Return float32 [n, 1280], the average over positions of the last 1 x 1 convolution, not normalised.

    Args:
      pictures: uint8 [n, H, W] (grey) or [n, H, W, 3].
      weights: Keras .h5 file or slim checkpoint (a Saver prefix) of MobileNetV2 1.0.
      size: side in pixels that they are resized to.
    """
    with network(weights, size) as run, progress(total=len(pictures), what="MobileNetV2", unit="img") as bar:
        result = np.empty((len(pictures), run.width), np.float32)
        for start in range(0, len(pictures), BATCH):
            batch = np.stack([resize(_rgb(picture), size) for picture in pictures[start:start + BATCH]])
            result[start:start + BATCH] = run(batch)
            bar.update(len(batch))
    return result


def network(weights, size=SIZE):
    """Return the FeatureNetwork with these weights."""
    options = dict(dataclasses.asdict(ModelConfig()), network="mobilenet_v2", image_size=size)
    if not weights.endswith(".h5"):
        return FeatureNetwork(weights, options, END_POINT, POOLING)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = save_checkpoint(read_mobilenet_v2(weights), os.path.join(folder, "model.ckpt"))
        return FeatureNetwork(checkpoint, options, END_POINT, POOLING)


def fingerprint(weights):
    """Return the SHA-256 of the weights' file (of a checkpoint: its first data file)."""
    path = weights if weights.endswith(".h5") else weights + ".data-00000-of-00001"
    if not os.path.isfile(path):
        raise InputError("no weights {}; name a Keras .h5 file or a slim checkpoint with --weights".format(path))
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def _rgb(picture):
    return np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture
