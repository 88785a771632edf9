"""Makes the emoji pairs, an open set of two domains: python -m slim_retrieval.datasets.emoji

1,875 emoji drawn by Google and by Twitter, 64 x 64 pixels: as between shop and consumer photos, each query has one true
match in the other domain. They are split by emoji with a seed: 1,250 to train on and 625 never seen, whose Twitter
drawings are the queries and whose Google drawings are the gallery. Pictures that an artist uses for several emoji
(flags of territories) are in the training part, so that none of them is on both sides.

    <output>/images/<vendor>/<code points>.png            transparency laid on white
    <output>/train.csv, query.csv, gallery.csv            path, label (code points), name, subgroup, vendor
    <output>/fit.csv, validation.csv                      1,000 and 250 of the 1,250, for choosing settings
    <output>/validation_query.csv, validation_gallery.csv   validation.csv, by vendor
    <output>/emoji.json                                   version, seed and counts; first as incomplete, and again last

Sources: npm emoji-datasource-google (artwork Apache-2.0) and emoji-datasource-twitter (Twemoji, CC BY 4.0) 15.1.2.
"""
import argparse
import collections
import json
import os
import re

import numpy as np

from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import cache_folder, make_folder, replacing, write_json, write_text
from slim_retrieval.common.progress import progress
from slim_retrieval.datasets.archives import obtain_npm, read_tar
from slim_retrieval.datasets.images import decode, encode_png
from slim_retrieval.datasets.prepared_files import list_text
from slim_retrieval.datasets.table import ImageTable

VERSION, VENDORS = "15.1.2", ("google", "twitter")
TEST_SHARE, VALIDATION_SHARE = 1 / 3, 1 / 5  # of all emoji; of those to train on
LISTS = ("train", "fit", "validation", "validation_query", "validation_gallery", "query", "gallery")
_MADE = "emoji.json"


@command
def main(argv=None):
    """Make the data set and say how to use it."""
    parser = argparse.ArgumentParser(prog="python -m slim_retrieval.datasets.emoji",
                                     description="Make the emoji pairs: 1,250 emoji to train on, 625 unseen ones.")
    parser.add_argument("--path", metavar="DIR", help="folder that holds the npm packages, as archives (.tgz) or "
                        "unpacked (as in node_modules); without it: npm pack")
    parser.add_argument("--output", metavar="DIR", default=cache_folder("emoji"),
                        help="where to put images and lists (default: %(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, help="of the split (default: 0)")
    arguments = parser.parse_args(argv)
    counts = make(arguments.output, arguments.path, arguments.seed)
    print("emoji pairs in {0}: {1}\nuse them with: --data.reader csv --data.path {0} --data.train.source train.csv "
          "--data.query.source query.csv --data.gallery.source gallery.csv".format(
              arguments.output, ", ".join("{} {}".format(name, counts[name]) for name in LISTS)))


def make(output, path=None, seed=0):
    """Write images and lists; return {list: number of images}. Run again, it writes the same.

    Raises:
      InputError: the packages cannot be had or are not what is expected, or `output` holds lists that are not ours.
    """
    _check_output(output)
    files = {vendor: read_files(vendor, path) for vendor in VENDORS}
    drawn = [entry for entry in entries(files["google"]) if all(entry["image"] in files[v] for v in VENDORS)]
    if len(drawn) < 10:
        raise InputError("only {} emoji are drawn by {}; are these the packages of version {}?".format(
            len(drawn), " and ".join(VENDORS), VERSION))
    pictures = {v: [decode(files[v][e["image"]], "{} of {}".format(e["image"], v)) for e in drawn] for v in VENDORS}
    parts = split(~_repeated(pictures), seed)
    counts, about = {}, {"version": VERSION, "seed": seed, "emoji": len(drawn)}
    make_folder(output)
    write_json(os.path.join(output, _MADE), dict(about, complete=False))
    paths = _write_images(output, drawn, pictures)
    for name, rows, vendors in [("train", np.sort(np.concatenate([parts["fit"], parts["validation"]])), VENDORS),
                                ("fit", parts["fit"], VENDORS), ("validation", parts["validation"], VENDORS),
                                ("validation_query", parts["validation"], VENDORS[1:]),
                                ("validation_gallery", parts["validation"], VENDORS[:1]),
                                ("query", parts["test"], VENDORS[1:]), ("gallery", parts["test"], VENDORS[:1])]:
        write_text(os.path.join(output, name + ".csv"), list_text(_table(drawn, rows, vendors, paths)))
        counts[name] = len(rows) * len(vendors)
    write_json(os.path.join(output, _MADE), dict(about, complete=True, images=counts))
    return counts


def read_files(vendor, path=None, cache=None, option="--path"):
    """Return {file name: bytes} of an artist's PNGs of 64 pixels, and emoji.json.

    Args:
      path: folder with emoji-datasource-<vendor>-15.1.2.tgz, or with the package unpacked as a folder
        emoji-datasource-<vendor>; None: the cache, then npm.
      cache: folder that keeps the archives; the one of benchmarks/feature_sets.py unless given.
      option: flag with which a user names `path`, for messages.
    """
    name = "emoji-datasource-" + vendor
    path = path and os.path.abspath(os.path.expanduser(path))
    if path and not os.path.isdir(path):
        raise InputError("{}: there is no folder {}".format(option, path))
    if path and os.path.isdir(os.path.join(path, name)):
        return _read_folder(os.path.join(path, name), vendor)
    keep = re.compile(r"package/(emoji\.json|img/{}/64/[0-9a-f-]+\.png)".format(vendor)).fullmatch
    archive = obtain_npm(name, VERSION, [path], cache or cache_folder("feature_sets"), option)
    return {path.split("/")[-1]: content for path, content in read_tar(archive, keep).items()}


def entries(files):
    """Return the list of emoji in a package's emoji.json, a dict each: unified, image, name, subcategory, ..."""
    try:
        found = json.loads(files["emoji.json"].decode("utf-8"))
        if all(isinstance(entry["image"], str) and isinstance(entry["unified"], str) for entry in found):
            return found
    except (KeyError, TypeError, ValueError):
        pass
    raise InputError("the package has no emoji.json with `unified` and `image` of each emoji; is it "
                     "emoji-datasource-google {}?".format(VERSION))


def split(unique, seed):
    """Return {"fit", "validation", "test": ascending rows}: a third of all is tested, a fifth of the rest chosen by.

    Args:
      unique: bool [n], whether an emoji may be tested on.
    """
    random, count = np.random.RandomState(seed), len(unique)
    order = random.permutation(count)
    order = np.concatenate([order[unique[order]], order[~unique[order]]])
    test, rest = np.split(order, [int(count * TEST_SHARE + 0.5)])
    validation, fit = np.split(random.permutation(rest), [int(len(rest) * VALIDATION_SHARE + 0.5)])
    return {"fit": np.sort(fit), "validation": np.sort(validation), "test": np.sort(test)}


def _repeated(pictures):
    """Return bool [n]: an artist's picture of this emoji is the same, pixel by pixel, as that of another."""
    found = []
    for images in pictures.values():
        contents = [image.tobytes() for image in images]
        counts = collections.Counter(contents)
        found.append([counts[content] > 1 for content in contents])
    return np.any(found, axis=0)


def _write_images(output, drawn, pictures):
    """Write the PNGs; return {vendor: paths}."""
    paths = {vendor: [os.path.join(os.path.abspath(output), "images", vendor, entry["unified"].lower() + ".png")
                      for entry in drawn] for vendor in VENDORS}
    with progress(total=len(drawn) * len(VENDORS), what="writing", unit="img") as bar:
        for vendor in VENDORS:
            for path, picture in zip(paths[vendor], pictures[vendor]):
                with replacing(path) as temporary, open(temporary, "wb") as stream:
                    stream.write(encode_png(picture))
                bar.update(1)
    return paths


def _table(drawn, rows, vendors, paths):
    """Return the list of these emoji by these artists, an emoji's drawings together."""
    pairs = [(row, vendor) for row in rows for vendor in vendors]
    return ImageTable([paths[vendor][row] for row, vendor in pairs], {
        "label": [drawn[row]["unified"] for row, _ in pairs],
        "name": [(drawn[row].get("name") or drawn[row]["unified"]).lower() for row, _ in pairs],
        "subgroup": [drawn[row].get("subcategory") or "" for row, _ in pairs],
        "vendor": [vendor for _, vendor in pairs]}, read=None)


def _read_folder(folder, vendor):
    """Return {file name: bytes} of an unpacked package."""
    images, found = os.path.join(folder, "img", vendor, "64"), {}
    try:
        names = [os.path.join(images, name) for name in sorted(os.listdir(images)) if name.endswith(".png")]
        for path in names + [os.path.join(folder, "emoji.json")]:
            with open(path, "rb") as stream:
                found[os.path.basename(path)] = stream.read()
    except OSError as error:
        raise InputError("{}: {}; expected emoji.json and img/{}/64/*.png in {}".format(
            error.filename, error.strerror, vendor, folder)) from error
    return found


def _check_output(output):
    there = [name + ".csv" for name in LISTS if os.path.exists(os.path.join(output, name + ".csv"))]
    if there and not os.path.isfile(os.path.join(output, _MADE)):
        raise InputError("{} is there and was not written by this command; give another --output".format(
            os.path.join(output, there[0])))


def _seed(text):
    if not text.isdigit() or int(text) >= 2 ** 31:
        raise argparse.ArgumentTypeError("{!r} is no whole number from 0 to 2^31 - 1".format(text))
    return int(text)


if __name__ == "__main__":
    main()
