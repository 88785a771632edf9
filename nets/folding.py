"""Batch norm folded into the layer before it, on a frozen GraphDef.

At inference batch norm is y -> (y - mean) * gamma / sqrt(variance + epsilon) + beta, and y = W x: scale W's output
channels once and add what is left as a bias. (Jacob et al., CVPR 2018, section 3.2; TensorFlow 1.15's own
`fold_batch_norms` does not know FusedBatchNormV3, which is what it builds.)
"""
from collections import Counter

import numpy as np

from slim_retrieval.common.tensorflow import tf

BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# Axes of the weights that together are the output channels.
CHANNEL_AXES = {"Conv2D": [3], "DepthwiseConv2dNative": [2, 3], "MatMul": [1]}


def fold_batch_norms(graph_def, outputs):
    """Return (GraphDef without the batch norms that follow a convolution or a product, folded, left).

    The bias has the batch norm's name, so that all tensors but the convolution's own stay what they were. Left are
    those after anything else (ResNet v2), and where the unnormalised value is used elsewhere or is an output.

    Args:
      graph_def: weights and statistics are constants, read without Identity in between.
      outputs: names of nodes that are wanted.
    """
    result = tf.GraphDef()
    result.CopyFrom(graph_def)
    nodes = {node.name: node for node in result.node}
    uses = Counter(name.lstrip("^") for node in result.node for name in node.input)
    uses.update(outputs)
    folded, constants = 0, {}
    norms = [node for node in result.node if node.op in BATCH_NORMS and not _attribute(node, "is_training").b]
    for norm in norms:
        layer = _layer_before(norm, nodes, uses)
        if layer is not None:
            # Several views of an image share their weights: one constant for all of them.
            key = (layer.input[1],) + tuple(norm.input[1:])
            if key not in constants:
                constants[key] = _add_constants(result, layer, norm, nodes)
            weights, bias = constants[key]
            layer.input[1] = weights
            _become_bias_add(norm, bias)
            folded += 1
    return tf.graph_util.extract_sub_graph(result, list(outputs)), folded, len(norms) - folded


def _layer_before(norm, nodes, uses):
    """Return the node whose weights can take up `norm`, or None."""
    if any(uses["{}:{}".format(norm.name, port)] for port in range(1, 6)):
        return None
    layer = nodes.get(norm.input[0])
    if layer is not None and layer.op == "Reshape" and uses[layer.name] == 1:  # slim normalises vectors as 1 x 1 maps
        layer = nodes.get(layer.input[0])
        if layer is None or layer.op != "MatMul":
            return None
    if layer is None or layer.op not in CHANNEL_AXES or uses[layer.name] != 1:
        return None
    values = [nodes.get(name) for name in [layer.input[1]] + list(norm.input[1:])]
    channels_last = not _attribute(layer, "transpose_b").b and all(
        _attribute(node, "data_format").s in (b"", b"NHWC") for node in (layer, norm))
    return layer if channels_last and all(v is not None and v.op == "Const" for v in values) else None


def _add_constants(graph_def, layer, norm, nodes):
    """Add the scaled weights and the bias to the graph; return their names."""
    weights, gamma, beta, mean, variance = (
        tf.make_ndarray(nodes[name].attr["value"].tensor).astype(np.float64)
        for name in [layer.input[1]] + list(norm.input[1:]))
    scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
    axes = CHANNEL_AXES[layer.op]
    scaled = weights * scale.reshape([weights.shape[axis] for axis in axes])
    names = layer.name + "/folded_weights", layer.name + "/folded_bias"
    for name, value in zip(names, (scaled, beta - mean * scale)):
        node = graph_def.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
    return names


def _become_bias_add(norm, bias):
    images = norm.input[0]
    del norm.input[:]
    norm.input.extend([images, bias])
    norm.op = "BiasAdd"
    for name in [name for name in norm.attr if name not in ("T", "data_format")]:
        del norm.attr[name]


def _attribute(node, name):
    """Return an attribute, empty where there is none: asking `node.attr` for it would add it."""
    return node.attr[name] if name in node.attr else tf.AttrValue()
