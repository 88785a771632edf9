"""Tensors by name, as TF-slim, tensorflow/models and the graph itself spell them."""
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.tensorflow import tf


def find_tensor(end_points, name):
    """Return the tensor that `name` means.

    Accepted are a key of `end_points` (`layer_16/output`, `resnet_v1_50/block4`), the same without or with the
    network's scope (`block4`, `MobilenetV2/layer_16/output`), the tensor's own name from any component on, with or
    without `:0` (`MobilenetV2/expanded_conv_14/output:0`, `expanded_conv_14/output`), and the full name of any other
    tensor of the graph. Keys carry no tower prefix; in a tower, names are looked for within it.

    Raises:
      InputError: nothing is called so (the message names the nearest end point), or several are.
    """
    if name in end_points:
        return end_points[name]
    wanted = name[:-2] if name.endswith(":0") else name
    extra = {key: _extra(key, tensor.op.name, wanted) for key, tensor in end_points.items()}
    found = {key: value for key, value in extra.items() if value is not None}
    # The shortest of those that end so: `conv1` is the network's first layer, not that of each unit.
    best = sorted(key for key, value in found.items() if value == min(found.values()))
    if len({end_points[key].name for key in best}) > 1:
        raise InputError("end point {} may be {} or {}; give more of its name".format(name, best[0], best[1]))
    return end_points[best[0]] if best else _of_graph(end_points, name)


def describe(end_points):
    """Return rows (name, shape, values an image, tensor's name) of all end points, in the order of the graph."""
    operations = {operation.name: i for i, operation in enumerate(tf.get_default_graph().get_operations())}
    rows = []
    for key in sorted(end_points, key=lambda key: (operations[end_points[key].op.name], key)):
        shape, count = end_points[key].shape.as_list(), 1
        for side in shape[1:]:
            count *= side
        rows.append((key, shape[1:], count, end_points[key].name))
    return rows


def _extra(key, operation, wanted):
    """Return how many components stand before `wanted` in the key or the operation's name; None: it is neither's end.
    """
    for whole in (key, operation):
        if whole == wanted or whole.endswith("/" + wanted):
            return whole.count("/") - wanted.count("/")
    scope = wanted[:-len(key) - 1]
    return 0 if wanted.endswith("/" + key) and scope in operation.split("/") else None


def _of_graph(end_points, name):
    graph = tf.get_default_graph()
    tower = graph.get_name_scope()
    full = name if not tower or name.startswith(tower + "/") else "{}/{}".format(tower, name)
    try:
        return graph.get_tensor_by_name(full if ":" in full else full + ":0")
    except (KeyError, ValueError):
        raise InputError("unknown end point {}{}; known: {}".format(
            name, nearest(name, end_points), ", ".join(sorted(end_points)))) from None
