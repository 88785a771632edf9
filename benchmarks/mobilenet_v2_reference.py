"""Does this project's MobileNetV2 give the numbers that Keras gives with the same pretrained weights?

    python benchmarks/mobilenet_v2_reference.py                                   (weights: the cache, else PyPI)
    python benchmarks/mobilenet_v2_reference.py --other .venv37/bin/python        (the other stack beside this one)

One image whose pixels count up modulo 255, at 224 px; the average over positions of the 1,280 channels. Prints the
first six, their sum and their length beside those that Keras computed; exits 1 where one is off by more than 1e-4 of
its value. CPU, half a minute; the weights (13 MB) are fetched once.
"""
import argparse
import subprocess
import sys

import numpy as np
import sets_material
import sets_network

from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.machine import versions

SIZE, LIMIT = 224, 1e-4
EXPECTED = [1.4259520, 0.0, 0.0017024, 0.0, 1.3950039, 0.5412253, 366.45392, 27.977850]
NAMES = ["channel {}".format(i) for i in range(6)] + ["sum", "length"]


@command
def main(argv=None):
    """Compute and compare, in this interpreter and in another one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", metavar="FOLDER", help="folder that may hold the wheel with the weights")
    parser.add_argument("--weights", metavar="FILE", help="Keras .h5 file, instead of the wheel's")
    parser.add_argument("--other", metavar="PYTHON", help="interpreter of another environment, to be run too")
    flags = parser.parse_args(argv)
    weights = sets_material.Material(flags.source, flags.weights).weights()
    good = report(compute(weights))
    if flags.other:
        sys.stdout.flush()
        try:
            good &= subprocess.call([flags.other, __file__, "--weights", weights]) == 0
        except OSError as error:
            raise InputError("--other: cannot run {}: {}".format(flags.other, error.strerror)) from error
    if not good:
        sys.exit(1)


def compute(weights):
    """Return the eight numbers."""
    image = (np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3) % 255).astype(np.uint8)
    with sets_network.network(weights, SIZE) as network:
        vector = network(image)[0].astype(np.float64)
    return list(vector[:6]) + [vector.sum(), np.linalg.norm(vector)]


def report(found):
    """Print the numbers beside Keras'; return whether all agree."""
    print("python {python}, tensorflow {tensorflow}".format(**versions()))
    good = True
    for name, value, expected in zip(NAMES, found, EXPECTED):
        off = abs(value - expected) > LIMIT * max(abs(expected), 1e-2)
        print("  {:<10}{:>13.7f}  Keras {:>13.7f}{}".format(name, value, expected, "  OFF" if off else ""))
        good &= not off
    return good


if __name__ == "__main__":
    main()
