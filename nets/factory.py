"""Backbones by name: `NETWORKS[name]` says how to build one and what it expects."""
from collections import namedtuple
from functools import partial

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.inception import SCOPES, inception
from slim_retrieval.nets.mobilenet_v2 import mobilenet_v2
from slim_retrieval.nets.plain_nets import plain_net
from slim_retrieval.nets.preprocessing import PREPROCESSING
from slim_retrieval.nets.resnet import resnet_v1, resnet_v2
from slim_retrieval.nets.small_cnn import small_cnn

# build(images, update_batch_norm[, depth_multiplier][, layout]) -> (feature map, end_points)
# scope: prefix of all variables; image_size: side that the public checkpoint was trained at; minimum_size: smallest
# side that can be built; any_width: takes depth_multiplier; layouts: {layout: Layout}, the first being the default.
Network = namedtuple("Network", "build scope image_size minimum_size any_width layouts")

# preprocessing: a name in nets/preprocessing.py; label_offset: what must be added to ImageNet's 0..999 to get the
# class of the layout's public classifier: 1 where it has 1001 classes, the first of them "background".
Layout = namedtuple("Layout", "preprocessing label_offset")

_VGG = {"slim": Layout("subtract_means", 0)}
_INCEPTION = {"slim": Layout("minus_one_to_one", 1)}
_RESNET_V1 = {"slim": Layout("subtract_means", 0), "torchvision": Layout("imagenet_statistics", 0),
              "keras": Layout("subtract_means", 0)}
_MOBILENET = {"slim": Layout("minus_one_to_one", 1), "torchvision": Layout("imagenet_statistics", 0),
              "keras": Layout("minus_one_to_one", 0)}

NETWORKS = {
    "mobilenet_v2": Network(mobilenet_v2, "MobilenetV2", 224, 1, True, _MOBILENET),
    "small_cnn": Network(small_cnn, "small_cnn", 32, 4, True, {"slim": Layout("minus_one_to_one", 0)}),
    "inception_v1": Network(partial(inception, "inception_v1"), SCOPES["inception_v1"], 224, 1, False, _INCEPTION),
    "inception_v2": Network(partial(inception, "inception_v2"), SCOPES["inception_v2"], 224, 1, True, _INCEPTION),
    "inception_v3": Network(partial(inception, "inception_v3"), SCOPES["inception_v3"], 299, 75, True, _INCEPTION),
    # No public checkpoints; size and range as slim's own scripts train them.
    "alexnet_v2": Network(partial(plain_net, "alexnet_v2"), "alexnet_v2", 224, 67, False, _VGG),
    "overfeat": Network(partial(plain_net, "overfeat"), "overfeat", 231, 71, False, _VGG),
}
for _name in ("vgg_a", "vgg_16", "vgg_19"):
    NETWORKS[_name] = Network(partial(plain_net, _name), _name, 224, 32, False, _VGG)
for _name in ("resnet_v1_50", "resnet_v1_101", "resnet_v1_152"):
    NETWORKS[_name] = Network(partial(resnet_v1, _name), _name, 224, 1, False, _RESNET_V1)
for _name in ("resnet_v2_50", "resnet_v2_101", "resnet_v2_152"):
    # tensorflow/models: "ResNet V2 models use Inception pre-processing and input image size of 299".
    NETWORKS[_name] = Network(partial(resnet_v2, _name), _name, 299, 1, False, _INCEPTION)


def get_network(name):
    """Return the Network called `name`; an unknown name is an InputError that lists the known ones."""
    return lookup(NETWORKS, name, "network")


def get_layout(options):
    """Return the Layout that a dict of ModelConfig names.

    Raises:
      InputError: the network has no such layout.
    """
    return lookup(get_network(options["network"]).layouts, options.get("layout", "slim"),
                  "model.layout of " + options["network"])


def build_network(images, update_batch_norm, options, dtype=tf.float32):
    """Preprocess `images` (float32 [B, S, S, 3], raw RGB 0..255) and build the backbone that `options` name.

    Returns:
      feature map [B, H, W, C] and end_points, of type `dtype`.

    Raises:
      InputError: unknown network or layout, a width that the network does not have, or images that are too small.
    """
    network, layout = get_network(options["network"]), get_layout(options)
    side = images.shape.as_list()[1]
    if side is not None and side < network.minimum_size:
        raise InputError("model.image_size is {}, but {} needs at least {} pixels; set that or more".format(
            side, options["network"], network.minimum_size))
    chosen = {"layout": options.get("layout", "slim")} if len(network.layouts) > 1 else {}
    if network.any_width:
        chosen["depth_multiplier"] = options["depth_multiplier"]
    elif options["depth_multiplier"] != 1.0:
        raise InputError("model.depth_multiplier is {}, but {} has one width; set it to 1".format(
            options["depth_multiplier"], options["network"]))
    return network.build(tf.cast(PREPROCESSING[layout.preprocessing](images), dtype), update_batch_norm, **chosen)
