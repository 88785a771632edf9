"""Does one checkpoint give the same features on both stacks (TensorFlow 1.15 and 2)?

    python benchmarks/compare_stacks.py --other /path/to/the/other/environment/bin/python

For each network, random images and random weights are written by this interpreter as a Saver checkpoint; then this
and the other interpreter, each in a process of its own, extract features from it. Prints the largest relative
difference, max over images of |a - b| / |a|, and exits 1 when it is above 1e-4. CPU, about a minute.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict

import numpy as np

from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import read_json, write_json
from slim_retrieval.common.machine import versions
from slim_retrieval.common.model_schema import ModelConfig

LIMIT = 1e-4
NUM_IMAGES = 8
# Odd sizes too: there SAME padding differs between sides.
CASES = {
    "resnet_v1_50": {"network": "resnet_v1_50", "image_size": 65},
    "mobilenet_v2": {"network": "mobilenet_v2", "image_size": 65, "embedding_size": 32},
    "mobilenet_v2 x 0.35": {"network": "mobilenet_v2", "depth_multiplier": 0.35, "image_size": 64, "pooling": "gem"},
    "small_cnn": {"network": "small_cnn", "image_size": 28, "embedding_size": 32},
}


@command
def main(argv=None):
    """Write, extract twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--other", metavar="PYTHON", help="the other environment's interpreter")
    parser.add_argument("--extract", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)  # the processes
    flags = parser.parse_args(argv)
    if flags.extract:
        extract(*flags.extract)
        return
    if not flags.other:
        raise InputError("which other interpreter? give --other PYTHON, such as .venv37/bin/python")
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            write_case(os.path.join(folder, name), name)
        for tag, python in (("this", sys.executable), ("other", flags.other)):
            run_extraction(python, folder, tag)
            print("{:<6}{}".format(tag, describe(read_json(os.path.join(folder, tag + ".json")))), flush=True)
        differences = {name: compare(os.path.join(folder, name)) for name in CASES}
    for name, difference in differences.items():
        print("{:<22}{:.1e}  {}".format(name, difference, "ok" if difference <= LIMIT else "ABOVE {}".format(LIMIT)))
    if max(differences.values()) > LIMIT:
        sys.exit(1)


def write_case(folder, name):
    """Write images.npy and a checkpoint of random weights into a new folder."""
    from slim_retrieval.common.tensorflow import tf
    from slim_retrieval.nets.model import build_model
    os.makedirs(folder)
    options, random = dict(asdict(ModelConfig()), **CASES[name]), np.random.RandomState(0)
    size = options["image_size"]
    np.save(os.path.join(folder, "images.npy"), random.randint(0, 256, (NUM_IMAGES, size, size, 3)).astype(np.uint8))
    with tf.Graph().as_default(), tf.Session() as session:
        build_model(tf.placeholder(tf.float32, [None, size, size, 3]), options)
        variables = tf.global_variables()
        session.run([v.initializer for v in variables],
                    {v.initializer.inputs[1]: random_value(v.op.name, v.shape.as_list(), random) for v in variables})
        tf.train.Saver().save(session, os.path.join(folder, "model.ckpt"), write_meta_graph=False)


def random_value(name, shape, random):
    """Return values that keep the activations' scale, batch-norm averages other than 0 and 1 among them."""
    kind = name.split("/")[-1]
    if kind in ("weights", "depthwise_weights"):
        fan_in = np.prod(shape[:2] if kind == "depthwise_weights" else shape[:-1])
        return random.randn(*shape) * np.sqrt(2.0 / fan_in)
    if kind in ("gamma", "moving_variance"):
        return random.uniform(0.5, 1.5, shape)
    return 0.1 * random.randn(*shape)


def run_extraction(python, folder, tag):
    """Run `extract` in a process of the given interpreter; its complaint, if any, goes to our stderr."""
    try:
        status = subprocess.call([python, os.path.abspath(__file__), "--extract", folder, tag])
    except OSError as error:
        raise InputError("--other: cannot run {}: {}".format(python, error.strerror)) from error
    if status:
        raise InputError("{} could not extract (exit status {}); is slim-retrieval installed there?".format(
            python, status))


def extract(folder, tag):
    """Write each case's features as <case>/<tag>.npy, and the versions as <tag>.json."""
    from slim_retrieval.nets.extraction import FeatureNetwork
    for name, changes in CASES.items():
        case = os.path.join(folder, name)
        options = dict(asdict(ModelConfig()), **changes)
        with FeatureNetwork(os.path.join(case, "model.ckpt"), options) as network:
            np.save(os.path.join(case, tag + ".npy"), network(np.load(os.path.join(case, "images.npy"))))
    write_json(os.path.join(folder, tag + ".json"), versions())


def compare(case):
    """Return the largest relative difference between the two features of an image; infinite if one is not finite."""
    this, other = (np.load(os.path.join(case, tag + ".npy")).astype(np.float64) for tag in ("this", "other"))
    difference = (np.linalg.norm(this - other, axis=1) / np.linalg.norm(this, axis=1)).max()
    return difference if np.isfinite(difference) else float("inf")


def describe(found):
    return ", ".join("{} {}".format(name, found[name]) for name in ("python", "tensorflow", "numpy"))


if __name__ == "__main__":
    main()
