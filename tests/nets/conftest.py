"""Shared by the network tests: options, golden lists, random weights and a NumPy implementation of the layers."""
import dataclasses
import os
from types import SimpleNamespace

import numpy as np
import pytest

from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf


@pytest.fixture(scope="session")
def options():
    """Return the function that gives ModelConfig's defaults as a dict, with changes."""
    return lambda **changes: dict(dataclasses.asdict(ModelConfig()), **changes)


@pytest.fixture(scope="session")
def golden():
    """Return the function that reads {variable name: shape} of a public checkpoint from <name>_variables.tsv."""
    def read(name):
        with open(os.path.join(os.path.dirname(__file__), name + "_variables.tsv")) as stream:
            rows = [line.rstrip("\n").split("\t") for line in stream]
        return {variable: [int(side) for side in shape.split("x")] for variable, shape in rows}
    return read


@pytest.fixture(scope="session")
def load_random():
    """Return the function that sets every model variable to random values and gives them as {name: array}."""
    def load(session, seed=0):
        random, values, feed = np.random.RandomState(seed), {}, {}
        for variable in sorted(tf.model_variables(), key=lambda v: v.op.name):
            shape, kind = variable.shape.as_list(), variable.op.name.split("/")[-1]
            if kind in ("weights", "depthwise_weights"):
                fan_in = np.prod(shape[:2] if kind == "depthwise_weights" else shape[:-1])
                value = random.randn(*shape) * np.sqrt(2.0 / fan_in)
            elif kind in ("gamma", "moving_variance"):
                value = random.uniform(0.5, 1.5, shape)
            else:
                value = 0.2 * random.randn(*shape)
            values[variable.op.name] = value.astype(np.float32)
            feed[variable.initializer.inputs[1]] = values[variable.op.name]
        session.run([variable.initializer for variable in tf.model_variables()], feed)
        return values
    return load


@pytest.fixture(scope="session")
def layers():
    """Return the layers in NumPy, float64, written from their definitions."""
    return SimpleNamespace(conv=_conv, depthwise=_depthwise, batch_norm=_batch_norm, max_pool=_max_pool)


def _windows(x, kernel, stride):
    """Return x under each kernel position, [kernel, kernel, B, H', W', C], with TensorFlow's SAME padding.

    H' = ceil(H / stride); when the padding is odd, the extra row lies at the bottom and right.
    """
    sides, pads = [], [(0, 0)]
    for side in x.shape[1:3]:
        out = -(-side // stride)
        total = max((out - 1) * stride + kernel - side, 0)
        sides.append(out)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x.astype(np.float64), pads + [(0, 0)], mode="constant")
    return np.array([[x[:, i:i + stride * sides[0]:stride, j:j + stride * sides[1]:stride][:, :sides[0], :sides[1]]
                      for j in range(kernel)] for i in range(kernel)])


def _conv(x, weights, stride=1):
    return np.einsum("ijbhwc,ijcd->bhwd", _windows(x, weights.shape[0], stride), weights.astype(np.float64),
                     optimize=True)


def _depthwise(x, weights, stride=1):
    return np.einsum("ijbhwc,ijc->bhwc", _windows(x, weights.shape[0], stride), weights[..., 0].astype(np.float64))


def _batch_norm(x, values, scope, epsilon=1e-3):
    v = {name: values[scope + "/BatchNorm/" + name].astype(np.float64)
         for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    return v["gamma"] * (x - v["moving_mean"]) / np.sqrt(v["moving_variance"] + epsilon) + v["beta"]


def _max_pool(x):
    """2 x 2, stride 2; an odd last row or column is left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    return x.reshape(len(x), height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
