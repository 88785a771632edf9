"""The consumer-to-shop tree: photos of customers search those of shops.

    PATH/<category>/<pair_id>/<style>/shop/<photo>
    PATH/<category>/<pair_id>/<style>/user/<photo>

Queries are `user`, the gallery is `shop`; two photos match when pair_id and style are the same. The label is
<pair_id>_<style>; category, pair_id, style and source stay columns.

Source: https://github.com/fongyk/ClothesRetrievalTools
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import WHOLE, Found, find_images, rows_to_table

ROLE = "source"  # the column that splits.py heeds
ROLES = {"user": "query", "shop": "gallery"}
_SHARE = 0.9  # of the images that must lie so, for the tree to be recognised


def is_shop_tree(path):
    """Return whether nearly all images lie in category/pair_id/style/{shop,user}/."""
    images = find_images(path)[0] if os.path.isdir(path) else []
    return bool(images) and sum(_row(image) is not None for image in images) >= _SHARE * len(images)


def read_shop_tree(path, options):
    """Return the `Found` of the tree, not split yet.

    Raises:
      InputError: no image lies so, or one of the two sides has none.
    """
    images, _ = find_images(path)
    rows = [row for row in map(_row, images) if row is not None]
    for source in ROLES:
        if not any(row[ROLE] == source for row in rows):
            raise InputError("{}: none of {:,} images lies in category/pair_id/style/{}/".format(
                path, len(images), source))
    notes = []
    if len(rows) < len(images):
        notes.append("{:,} images lie elsewhere than in category/pair_id/style/shop or user and are left out".format(
            len(images) - len(rows)))
    categories = {}
    for row in rows:
        categories.setdefault(row["label"], set()).add(row["category"])
    several = sorted(label for label, names in categories.items() if len(names) > 1)
    if several:
        notes.append("{:,} pairs of one pair_id and style lie under several categories, e.g. {} under {}; they count "
                     "as matches".format(len(several), several[0], " and ".join(sorted(categories[several[0]]))))
    return Found({WHOLE: rows_to_table(rows, path)}, notes=notes)


def _row(image):
    parts = image.split(os.sep)
    if len(parts) < 5 or parts[-2] not in ROLES:
        return None
    category, pair, style, source = parts[-5:-1]
    return {"path": image, "label": "{}_{}".format(pair, style), "category": category, "pair_id": pair,
            "style": style, ROLE: source}
