"""New layers on any tensor of the network, as the YAML's model.layers lists them, and how their weights start."""
import re

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.factory import get_network

ACTIVATIONS = {"relu": tf.nn.relu, "relu6": tf.nn.relu6, "none": None}

SCOPE = r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*$"  # what TensorFlow allows as a scope's name
TAKEN = ["embedding", "logits", "losses", "pooling"]

# Standard deviation -> initializer; only the plain normal ones use it.
INITIALIZERS = {
    "xavier": lambda stddev: slim.xavier_initializer(),  # uniform, by fan-in and fan-out; Glorot and Bengio 2010
    "he": lambda stddev: slim.variance_scaling_initializer(),  # truncated normal, 2 / fan-in; He et al. 2015
    "truncated_normal": lambda stddev: tf.truncated_normal_initializer(stddev=stddev),
    "normal": lambda stddev: tf.random_normal_initializer(stddev=stddev),
    "zeros": lambda stddev: tf.zeros_initializer(),
}
# New averages have a few thousand steps to find their place, not the hundreds of thousands of the backbone's.
BATCH_NORM = {"decay": 0.99, "scale": True, "epsilon": 1e-3, "fused": True}


def initializer(name, stddev):
    """Return the initializer called `name`; an unknown name is an InputError that lists the known ones."""
    return lookup(INITIALIZERS, name, "initializer")(stddev)


def add_layers(net, options, update_batch_norm):
    """Put the layers of model.layers, under the scope model.layers_scope, on a tensor; return (tensor, end_points).

    Args:
      net: float32 [B, H, W, C].
      options: dict of ModelConfig.
      update_batch_norm: normalise by the batch and build update ops; False: by the stored averages.

    Returns:
      float32 [B, H', W', C']; {"<scope>/<layer's name>": tensor}.

    Raises:
      InputError: the tensor is no map, a scope or name cannot be used, an unknown type or initializer, or a layer that
        the map is too small for.
    """
    layers, end_points = options.get("layers", []), {}
    if not layers:
        return net, end_points
    if net.shape.ndims != 4:
        raise InputError("model.layers are put on a map [B, H, W, C], but {} has shape {}; set model.end_point".format(
            net.name, net.shape))
    _check_scope(options)
    with tf.variable_scope(options["layers_scope"]):
        for name, layer in zip(_names(layers), layers):
            build = lookup(TYPES, layer["type"], "type of layer")
            try:
                net = build(net, layer, name, options, update_batch_norm)
            except ValueError as error:  # TensorFlow's word for a kernel that the map has no room for
                raise InputError("model.layers: {} does not fit on a map of shape {}: {}".format(
                    name, net.shape, str(error).split("\n")[0])) from error
            end_points["{}/{}".format(options["layers_scope"], name)] = net
    return net, end_points


def _check_scope(options):
    taken, scope = TAKEN + [get_network(options["network"]).scope], options["layers_scope"]
    if not re.match(SCOPE, scope) or scope.split("/")[0] in taken:
        raise InputError("model.layers_scope: {!r} cannot be the scope of new layers; give a plain word other than "
                         "{}".format(scope, ", ".join(taken)))


def _names(layers):
    """Return each layer's name; one without is called by its type and its place, such as conv_1."""
    names = [layer["name"] or "{}_{}".format(layer["type"], place) for place, layer in enumerate(layers, start=1)]
    for name in names:
        if not re.match(SCOPE, name) or names.count(name) > 1:
            raise InputError("model.layers: {} {!r}; give plain words that differ".format(
                "two layers are called" if names.count(name) > 1 else "a layer cannot be called", name))
    return names


def _conv(net, layer, name, options, update_batch_norm):
    normalizer = {"normalizer_fn": slim.batch_norm,
                  "normalizer_params": dict(BATCH_NORM, is_training=update_batch_norm)} if layer["batch_norm"] else {}
    return slim.conv2d(net, layer["filters"], layer["kernel"], stride=layer["stride"], rate=layer["dilation"],
                       padding=layer["padding"].upper(), scope=name,
                       activation_fn=lookup(ACTIVATIONS, layer["activation"], "activation"),
                       weights_initializer=initializer(layer["initializer"] or options["initializer"],
                                                       layer["stddev"] or options["initializer_stddev"]), **normalizer)


def _max_pool(net, layer, name, options, update_batch_norm):
    return slim.max_pool2d(net, layer["kernel"], layer["stride"], layer["padding"].upper(), scope=name)


def _average_pool(net, layer, name, options, update_batch_norm):
    return slim.avg_pool2d(net, layer["kernel"], layer["stride"], layer["padding"].upper(), scope=name)


TYPES = {"conv": _conv, "max_pool": _max_pool, "average_pool": _average_pool}
