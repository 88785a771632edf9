"""Holidays and UKBench: what belongs together is in the file's name; every image is in the gallery.

    holidays   PATH/.../100000.jpg             six digits; a group is the number without its last two digits, and its
                                               first image (..00) is the query: 500 of 1,491
    ukbench    PATH/.../ukbench00000.jpg       groups of four by number; every image of 10,200 is a query

Sources: Jegou, Douze, Schmid, ECCV 2008 (http://lear.inrialpes.fr/people/jegou/data.php); Nister, Stewenius, CVPR 2006
(https://archive.org/details/ukbench)
"""
import os
import re

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import Found, find_images, folder_contents, images_by_stem, rows_to_table

_HOLIDAYS, _UKBENCH = re.compile(r"1\d{5}"), re.compile(r"ukbench\d{5}")


def is_holidays(path):
    """Return whether images are called 100000.jpg and so on, and none otherwise."""
    stems = _stems(path)
    return "100000" in stems and all(map(_HOLIDAYS.fullmatch, stems))


def is_ukbench(path):
    """Return whether images are called ukbench00000.jpg and so on, and none otherwise."""
    stems = _stems(path)
    return bool(stems) and all(map(_UKBENCH.fullmatch, stems))


def read_holidays(path, options):
    """Return the `Found` of Holidays; the label is the group's number.

    Raises:
      InputError: an image of another name, or a group without its query.
    """
    stems = _matching(path, _HOLIDAYS, "100000.jpg")
    rows = [{"path": stems[stem], "label": stem[:4]} for stem in sorted(stems)]
    queries = [row for stem, row in zip(sorted(stems), rows) if stem.endswith("00")]
    lost = {row["label"] for row in rows} - {row["label"] for row in queries}
    if lost:
        raise InputError("{}: the group of {}xx.jpg lacks its query {}00.jpg; unpack jpg1 and jpg2 both".format(
            path, min(lost), min(lost)))
    return Found({"query": rows_to_table(queries), "gallery": rows_to_table(rows)}, protocol="holidays")


def read_ukbench(path, options):
    """Return the `Found` of UKBench; the label is the object's number.

    Raises:
      InputError: an image of another name, or an object that has not four images.
    """
    stems = _matching(path, _UKBENCH, "ukbench00000.jpg")
    rows = [{"path": stems[stem], "label": "{:05d}".format(int(stem[-5:]) // 4)} for stem in sorted(stems)]
    sizes = {}
    for row in rows:
        sizes[row["label"]] = sizes.get(row["label"], 0) + 1
    short = [label for label in sorted(sizes) if sizes[label] != 4]
    if short:
        raise InputError("{}: {} of {} objects have not four images, e.g. ukbench{:05d}.jpg and the three that follow "
                         "it".format(path, len(short), len(sizes), 4 * int(short[0])))
    table = rows_to_table(rows)
    return Found({"query": table, "gallery": table}, protocol="ukbench")


def _matching(path, pattern, example):
    stems = images_by_stem(path, "the benchmark")
    wrong = sorted(stem for stem in stems if not pattern.fullmatch(stem))
    if wrong:
        raise InputError("{}: {:,} of {:,} images are not called as {} is, e.g. {}; move them elsewhere".format(
            path, len(wrong), len(stems), example, os.path.basename(stems[wrong[0]])))
    return stems


def _stems(path):
    """Return the names of the images without their endings; of few folders, so that a large tree costs nothing."""
    if not os.path.isdir(path) or len(folder_contents(path)[0]) > 3:
        return set()
    return {os.path.splitext(os.path.basename(image))[0] for image in find_images(path)[0]}
