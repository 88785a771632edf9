"""Others' names for the variables of our networks, and what else differs: order of axes, biases, colour order."""
import re

import numpy as np

from slim_retrieval.nets.keras_import import slim_name

_TORCH_NORM = {"weight": "BatchNorm/gamma", "bias": "BatchNorm/beta", "running_mean": "BatchNorm/moving_mean",
               "running_var": "BatchNorm/moving_variance"}
_KERAS_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_TORCH_UNIT = re.compile(r"layer(\d+)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)")
_TORCH_FEATURE = re.compile(r"features\.(\d+)\.(?:conv\.)?([\d.]+)\.(\w+)")
_KERAS_UNIT = re.compile(r"conv(\d+)_block(\d+)_(\d)_(conv|bn)")
_AVERAGE = "/ExponentialMovingAverage"


def from_slim(arrays, scope, averages=False):
    """Return {variable: (source name, array)} of names like slim's, wherever the network's scope stands in them.

    Args:
      averages: take a variable's moving average (MobileNet's and Inception's public checkpoints have them) where
        there is one.
    """
    found = {}
    for name, array in sorted(arrays.items()):  # an average comes after what it is of
        start = 0 if name.startswith(scope + "/") else name.find("/" + scope + "/") + 1
        variable = name[start:] if start or name.startswith(scope + "/") else None
        if variable and averages and variable.endswith(_AVERAGE):
            variable = variable[:-len(_AVERAGE)]
        if variable:
            found[variable] = (name, array)
    return found


def from_torchvision(arrays, scope):
    """Return {variable: (source name, array)} of torchvision's names; kernels [out, in, h, w] become [h, w, in, out].
    """
    rename = _torch_mobilenet if scope == "MobilenetV2" else _torch_resnet
    found = {}
    for name, array in arrays.items():
        variable = rename(name)
        if variable and array.ndim == 4:
            array = array.transpose([2, 3, 0, 1] if variable.endswith("depthwise_weights") else [2, 3, 1, 0])
        if variable:
            found["{}/{}".format(scope, variable)] = (name, array)
    return found


def from_keras(arrays, scope):
    """Return {variable: (source name, array)} of tf.keras.applications' names (layer/weight).

    Keras' ResNet has biases before batch norm: they are taken off the moving average, which comes to the same. It
    takes blue first: the first kernel's input channels are turned round, and ours takes red first.
    """
    found, biases = {}, {}
    for name, array in arrays.items():
        layer, _, weight = name.rpartition("/")
        variable = slim_name(layer, weight) if scope == "MobilenetV2" else _keras_resnet(layer, weight, scope)
        if variable and variable.endswith("/biases"):
            biases[variable[:-len("/biases")]] = (name, array)
        elif variable:
            found[variable] = (name, array)
    for layer, (name, bias) in biases.items():
        mean = layer + "/BatchNorm/moving_mean"
        if mean in found:
            found[mean] = ("{} - {}".format(found[mean][0], name), found[mean][1] - bias)
    first = scope + "/conv1/weights"
    if scope != "MobilenetV2" and first in found:
        found[first] = (found[first][0], np.ascontiguousarray(found[first][1][:, :, ::-1]))
    return found


NAMINGS = {"slim": from_slim, "torchvision": from_torchvision, "keras": from_keras}


def _torch_resnet(name):
    if name == "conv1.weight":
        return "conv1/weights"
    if name.startswith("bn1.") and name[4:] in _TORCH_NORM:
        return "conv1/" + _TORCH_NORM[name[4:]]
    match = _TORCH_UNIT.fullmatch(name)
    if not match:
        return None
    block, unit, kind, number, weight = match.groups()
    norm = kind == "bn" or kind == "downsample." and number == "1"
    layer = "shortcut" if kind == "downsample." else "conv" + number
    leaf = _TORCH_NORM.get(weight) if norm else {"weight": "weights"}.get(weight)
    return leaf and "block{}/unit_{}/bottleneck_v1/{}/{}".format(block, int(unit) + 1, layer, leaf)


def _torch_mobilenet(name):
    match = _TORCH_FEATURE.fullmatch(name)
    if not match:
        return None
    index, place, weight = int(match.group(1)), match.group(2), match.group(3)
    if index in (0, 18):
        scope, norm = "Conv" if index == 0 else "Conv_1", place == "1"
    else:
        parts = {"0.0": "expand", "0.1": "expand", "1.0": "depthwise", "1.1": "depthwise", "2": "project",
                 "3": "project"}
        if index == 1:  # the first block has no expansion
            parts = {"0.0": "depthwise", "0.1": "depthwise", "1": "project", "2": "project"}
        if place not in parts:
            return None
        norm = place in (("0.1", "2") if index == 1 else ("0.1", "1.1", "3"))
        scope = "expanded_conv{}/{}".format("_{}".format(index - 1) if index > 1 else "", parts[place])
    kernel = "depthwise_weights" if scope.endswith("depthwise") else "weights"
    leaf = _TORCH_NORM.get(weight) if norm else {"weight": kernel}.get(weight)
    return leaf and "{}/{}".format(scope, leaf)


def _keras_resnet(layer, weight, scope):
    match = _KERAS_UNIT.fullmatch(layer)
    if match:
        stage, unit, number, kind = match.groups()
        ours = "block{}/unit_{}/bottleneck_v1/{}".format(
            int(stage) - 1, unit, "shortcut" if number == "0" else "conv" + number)
    elif layer in ("conv1_conv", "conv1_bn"):
        ours, kind = "conv1", layer.split("_")[1]
    else:
        return None
    if kind == "bn":
        leaf = "BatchNorm/" + weight if weight in _KERAS_NORM else None
    else:
        leaf = {"kernel": "weights", "bias": "biases"}.get(weight)
    return leaf and "{}/{}/{}".format(scope, ours, leaf)
