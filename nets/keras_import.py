"""Weights of Keras' MobileNetV2 under the variable names of nets/mobilenet_v2.py, read from an HDF5 file.

Keras itself is not needed. Three layouts are read, all written by `model.save("x.h5")` or `save_weights("x.h5")`:

    Conv1/Conv1/kernel:0                            Keras 2, weights alone
    model_weights/Conv1/Conv1/kernel:0              Keras 2, the whole model; the network may be a layer of another
    model_weights/mobilenetv2_1.00_160/Conv1/kernel Keras 3: no `:0`, and a depthwise kernel is named `kernel`, too
"""
import os
import re

import h5py
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.nets.mobilenet_v2 import BLOCKS, LAST_CHANNELS, divisible

BATCH_NORM = ("beta", "gamma", "moving_mean", "moving_variance")
# Layers of the network itself; all others (pooling, a classifier) are no part of it and are passed over.
_BLOCK = re.compile(r"(expanded_conv|block_\d+)_(expand|depthwise|project)(_BN)?")
_ENDS = {"Conv1": "Conv", "bn_Conv1": "Conv/BatchNorm", "Conv_1": "Conv_1", "Conv_1_bn": "Conv_1/BatchNorm"}


def read_mobilenet_v2(path, depth_multiplier=1.0):
    """Return {variable name: float32 array} of all variables of `mobilenet_v2`, 260 of them, from a Keras file.

    Args:
      path: HDF5 file that holds a Keras MobileNetV2, with or without its classifier.
      depth_multiplier: the width it was built with (Keras: alpha).

    Raises:
      InputError: no such file, no HDF5, variables that are missing, unexpected or there twice, or another width.
    """
    found = {}
    for name, array in _named_like_slim(path):
        if name in found:
            raise InputError("{} holds {} twice; save a model that contains one MobileNetV2".format(path, name))
        found[name] = array
    expected = variable_shapes(depth_multiplier)
    _check_names(path, set(expected) - set(found), "lacks", len(expected))
    _check_names(path, set(found) - set(expected), "has variables that MobileNetV2 does not:", len(found))
    for name, shape in sorted(expected.items()):
        if found[name].shape != shape:
            raise InputError("{} is of another width: {} has shape {} there and {} at depth_multiplier {}; name its "
                             "own depth_multiplier".format(path, name, list(found[name].shape), list(shape),
                                                           depth_multiplier))
    return found


def variable_shapes(depth_multiplier=1.0):
    """Return {variable name: shape} of `mobilenet_v2`: table 2 of the paper."""
    last = divisible(LAST_CHANNELS * max(1.0, depth_multiplier))
    width = divisible(32 * depth_multiplier)
    shapes = _layer("Conv", (3, 3, 3, width), width)
    index = 0
    for expansion, channels, blocks, _ in BLOCKS:
        outputs = divisible(channels * depth_multiplier)
        for _ in range(blocks):
            scope = "expanded_conv_{}/".format(index) if index else "expanded_conv/"
            wide = divisible(width * expansion)
            if expansion > 1:
                shapes.update(_layer(scope + "expand", (1, 1, width, wide), wide))
            shapes.update(_layer(scope + "depthwise", (3, 3, wide, 1), wide))
            shapes.update(_layer(scope + "project", (1, 1, wide, outputs), outputs))
            width, index = outputs, index + 1
    shapes.update(_layer("Conv_1", (1, 1, width, last), last))
    return {"MobilenetV2/" + name: shape for name, shape in shapes.items()}


def slim_name(layer, weight):
    """Return the variable name of a Keras layer's weight; None for a layer that is no part of MobileNetV2.

    A weight that no layer of MobileNetV2 has (a bias, say) keeps its Keras name, so that it is reported by it.
    """
    match = _BLOCK.fullmatch(layer)
    if match:
        block, part, batch_norm = match.groups()
        # Keras calls them expanded_conv, block_1 ... block_16; slim expanded_conv, expanded_conv_1 ...
        scope = "{}/{}".format(block.replace("block", "expanded_conv"), part) + ("/BatchNorm" if batch_norm else "")
    elif layer in _ENDS:
        scope = _ENDS[layer]
    else:
        return None
    if weight in ("kernel", "depthwise_kernel"):
        weight = "depthwise_weights" if scope.endswith("/depthwise") else "weights"
    return "MobilenetV2/{}/{}".format(scope, weight)


def _layer(scope, kernel, channels):
    kind = "depthwise_weights" if scope.endswith("/depthwise") else "weights"
    shapes = {"{}/BatchNorm/{}".format(scope, name): (channels,) for name in BATCH_NORM}
    shapes["{}/{}".format(scope, kind)] = kernel
    return shapes


def read_layers(path):
    """Return [(layer, weight, float32 array)] of a Keras HDF5 file, in any of the three layouts.

    Raises:
      InputError: no such file, or no HDF5.
    """
    if not os.path.isfile(path):
        raise InputError("no file {}; name the HDF5 file that Keras saved".format(path))
    found = []

    def visit(name, item):
        parts = name.split("/")
        if isinstance(item, h5py.Dataset) and len(parts) >= 2:
            found.append((parts[-2], parts[-1].split(":")[0], np.asarray(item[()], np.float32)))

    try:
        with h5py.File(path, "r") as stream:
            # Beside model_weights lie the optimizer's slots, which are shaped and named like weights.
            stream.get("model_weights", stream).visititems(visit)
    except (OSError, ValueError) as error:  # ValueError: a dataset that is no numbers
        raise InputError("{} is not a readable HDF5 file ({}); fetch it again".format(path, error)) from error
    return found


def _named_like_slim(path):
    """Return [(slim name, float32 array)] of the datasets that belong to MobileNetV2."""
    named = [(slim_name(layer, weight), array) for layer, weight, array in read_layers(path)]
    return [(name, array) for name, array in named if name]


def _check_names(path, names, what, total):
    if names:
        raise InputError("{} {} {} of {} variables: {}{}; save a MobileNetV2 of Keras in HDF5".format(
            path, what, len(names), total, ", ".join(sorted(names)[:3]), ", ..." if len(names) > 3 else ""))
