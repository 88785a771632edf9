"""Backbones by name: `NETWORKS[name]` says how to build one and what it expects."""
from collections import namedtuple

from slim_retrieval.common.errors import lookup
from slim_retrieval.nets.mobilenet_v2 import mobilenet_v2
from slim_retrieval.nets.resnet_v1 import resnet_v1_50
from slim_retrieval.nets.small_cnn import small_cnn

# build(images, update_batch_norm, depth_multiplier) -> (feature map, end_points)
# scope: prefix of all variables; preprocessing: a name in nets/preprocessing.py.
Network = namedtuple("Network", "build scope preprocessing")

NETWORKS = {
    "resnet_v1_50": Network(resnet_v1_50, "resnet_v1_50", "subtract_means"),
    "mobilenet_v2": Network(mobilenet_v2, "MobilenetV2", "minus_one_to_one"),
    "small_cnn": Network(small_cnn, "small_cnn", "minus_one_to_one"),
}


def get_network(name):
    """Return the Network called `name`; an unknown name is an InputError that lists the known ones."""
    return lookup(NETWORKS, name, "network")
