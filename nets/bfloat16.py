"""A frozen network with bfloat16 in the place of float32 where that does little harm, by casts in its GraphDef.

Convolutions and products, and what follows them, but for the first quarter of the layers: what they lose reaches all
others. (Of MobileNetV2's 52 layers the second and third alone make most of the error; TensorFlow's own rewriting,
auto_mixed_precision_onednn_bfloat16, cannot leave any out.) bfloat16 has float32's range and 8 bits of precision;
oneDNN sums within a layer in float32.
"""
from slim_retrieval.common.tensorflow import tf

LAYERS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
FLOAT_SHARE = 0.25  # of the layers, at the beginning, stay float32
# What goes on in bfloat16 when it gets it, and which of its inputs are numbers to be computed with.
FOLLOWERS = {"BiasAdd": [0, 1], "Relu": [0], "Relu6": [0], "Add": [0, 1], "AddV2": [0, 1], "MaxPool": [0],
             "AvgPool": [0], "Pad": [0], "FusedBatchNormV2": [0], "FusedBatchNormV3": [0]}


def to_bfloat16(frozen):
    """Return `frozen` (frozen.Frozen) with casts: its images and outputs stay float32."""
    graph_def = tf.GraphDef()
    graph_def.CopyFrom(frozen.graph_def)
    low = _low_nodes(graph_def, {name.split(":")[0] for name in frozen.outputs})
    casts = {}
    for node in list(graph_def.node):
        computed = _numbers(node) if node.name in low else []
        for position, name in enumerate(node.input):
            if (_node(name) in low) != (position in computed) and not name.startswith("^"):
                node.input[position] = _cast(graph_def, casts, name, position in computed)
        if node.name in low:
            node.attr["T"].type = tf.bfloat16.as_datatype_enum
    return frozen._replace(graph_def=graph_def)


def _low_nodes(graph_def, outputs):
    """Return the names of the nodes that are to compute in bfloat16."""
    nodes = {node.name: node for node in graph_def.node}
    left = int(FLOAT_SHARE * sum(node.op in LAYERS for node in graph_def.node))
    low = set()
    for node in _in_order(graph_def, nodes):
        if node.name in outputs or "T" not in node.attr or node.attr["T"].type != tf.float32.as_datatype_enum:
            continue
        if node.op in LAYERS:
            left -= 1
            if left < 0:
                low.add(node.name)
        elif node.op in FOLLOWERS and any(_node(node.input[i]) in low for i in _numbers(node)):
            low.add(node.name)
    return low


def _in_order(graph_def, nodes):
    """Yield the nodes, each after its inputs; of those that are free to choose, in the order of the GraphDef."""
    done = set()
    for last in graph_def.node:
        stack = [last]
        while stack:
            node = stack[-1]
            missing = [nodes[_node(name)] for name in node.input if _node(name) not in done]
            if missing and node.op not in ("NextIteration", "Merge"):  # loops go round
                stack.append(missing[0])
                continue
            stack.pop()
            if node.name not in done:
                done.add(node.name)
                yield node


def _numbers(node):
    """Return the positions of the inputs that must have the type of the node's output."""
    return FOLLOWERS.get(node.op, [0, 1])


def _node(name):
    return name.lstrip("^").split(":")[0]


def _cast(graph_def, casts, name, to_low):
    """Return the name of `name`'s values in the other type; each is cast once."""
    if (name, to_low) not in casts:
        source, target = (tf.float32, tf.bfloat16) if to_low else (tf.bfloat16, tf.float32)
        cast = graph_def.node.add(op="Cast", name="{}/{}".format(name.replace(":", "_"), target.name))
        cast.input.append(name)
        cast.attr["SrcT"].type, cast.attr["DstT"].type = source.as_datatype_enum, target.as_datatype_enum
        casts[name, to_low] = cast.name
    return casts[name, to_low]
