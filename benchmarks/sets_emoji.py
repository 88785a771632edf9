"""Emoji by up to three artists: the same thing drawn differently, many small classes.

npm emoji-datasource-google (Apache-2.0), emoji-datasource-twitter (CC BY 4.0) and emojione 2.2.7 (artwork CC BY 4.0):
PNGs of 64 x 64 pixels, transparency laid on white.
"""
import re
from collections import namedtuple

import numpy as np
from sets_common import raw, sample, sample_classes, unique_pictures

from slim_retrieval.datasets import emoji
from slim_retrieval.datasets.images import decode

EMOJIONE = "2.2.7"

# Row by row: pictures uint8 [n, 64, 64, 3], emoji (its code points), subgroup, vendor, and toned (a skin-tone variant).
Emoji = namedtuple("Emoji", "pictures emoji subgroup vendor toned")


def read_emoji(material, vendors=("google", "twitter"), tones=False):
    """Return the Emoji of these vendors.

    Pictures that a vendor uses for several emoji (flags of territories) are taken once: nothing could tell them apart.

    Args:
      tones: also the variants by skin tone, under the code of the plain emoji.
    """
    files = {vendor: _files(material, vendor) for vendor in vendors}
    rows = []
    for entry in emoji.entries(files["google"]):
        variants = [entry] + list(entry.get("skin_variations", {}).values() if tones else [])
        for vendor in vendors:
            names = [_file_name(variant, vendor) for variant in variants]
            rows += [(files[vendor][name], entry["unified"], entry["subcategory"], vendor, i > 0)
                     for i, name in enumerate(names) if name in files[vendor]]
    columns = [np.array(column) for column in list(zip(*rows))[1:]]
    pictures = np.stack([decode(row[0]) for row in rows])
    keep = unique_pictures(pictures, columns[2])
    return Emoji(pictures[keep], *(column[keep] for column in columns))


def pairs(material, feature):
    """625 emoji drawn by Google, to be found by Twitter's drawing (`query`): one true match each."""
    found = read_emoji(material)
    found = _take(found, _tested(found))
    query = found.vendor == "twitter"
    features = material.mobile(found.pictures) if feature == "mobile" else raw(found.pictures, ~query)
    return {"features": features, "labels": found.emoji, "query": query}


def subgroups(material, feature):
    """3,000 drawings by two artists, class: the emoji's subgroup (`animal-mammal`): 100 classes, 1 to 400 members."""
    found = read_emoji(material)
    chosen = _take(found, sample(len(found.emoji), 3000))
    features = material.mobile(chosen.pictures) if feature == "mobile" else raw(chosen.pictures)
    return {"features": features, "labels": chosen.subgroup}


def google_subgroups(material):
    """As `subgroups`, one artist only."""
    found = read_emoji(material, ("google",))
    return {"features": material.mobile(found.pictures), "labels": found.subgroup}


def skin_tones(material, feature, count=None):
    """Skin-tone variants by two artists of all emoji that have them, or of `count`; class: the emoji."""
    found = read_emoji(material, tones=True)
    found = _take(found, found.toned)
    if count:
        found = _take(found, sample_classes(found.emoji, count))
    features = material.mobile(found.pictures) if feature == "mobile" else raw(found.pictures)
    return {"features": features, "labels": found.emoji}


def three_vendors(material):
    """All emoji by three artists, 2 or 3 drawings each; Twitter's are the queries; the emoji of `pairs` are tested."""
    found = read_emoji(material, ("google", "twitter", "emojione"))
    names, index = np.unique(found.emoji, return_inverse=True)
    drawings = np.bincount(index.ravel(), minlength=len(names))[index.ravel()]
    train = ~_tested(found)
    rows = drawings > 1
    return {"features": material.mobile(found.pictures[rows]), "labels": found.emoji[rows],
            "query": (found.vendor == "twitter")[rows], "train": train[rows]}


def _files(material, vendor):
    """Return {file name: bytes} of one artist's PNGs, and emoji.json where the package has it."""
    if vendor != "emojione":
        return emoji.read_files(vendor, material.source, material.cache, "--source")
    found = material.npm("emojione", EMOJIONE, re.compile(r"package/assets/png/[0-9a-f-]+\.png").fullmatch)
    return {path.split("/")[-1]: content for path, content in found.items()}


def _file_name(variant, vendor):
    """EmojiOne leaves joiners and variation selectors out of its file names."""
    if vendor != "emojione":
        return variant["image"]
    return "-".join(code for code in variant["unified"].lower().split("-") if code not in ("200d", "fe0f")) + ".png"


def _tested(found):
    """Return bool [n]: the rows of the 625 emoji to test on, drawn from those that Google and Twitter both have."""
    both = np.intersect1d(found.emoji[found.vendor == "google"], found.emoji[found.vendor == "twitter"])
    return np.isin(found.emoji, both[sample(len(both), 625)])


def _take(found, rows):
    return Emoji(*(column[rows] for column in found))
