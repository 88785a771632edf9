import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import WHOLE
from slim_retrieval.datasets.layouts import read_layout

TREE = ["top/12/1/shop/a.jpg", "top/12/1/user/b.jpg", "top/12/2/shop/a.jpg", "skirt/7/1/user/a.jpg",
        "skirt/7/1/shop/a.jpg"]


def test_a_match_is_the_same_pair_and_style(photos):
    root = photos(*TREE)
    name, found = read_layout(root)
    table = found.splits[WHOLE]
    assert name == "consumer_to_shop"
    rows = {os.path.relpath(path, root): tuple(table.columns[column][i] for column in (
        "label", "category", "pair_id", "style", "source")) for i, path in enumerate(table.paths)}
    assert rows == {"top/12/1/shop/a.jpg": ("12_1", "top", "12", "1", "shop"),
                    "top/12/1/user/b.jpg": ("12_1", "top", "12", "1", "user"),
                    "top/12/2/shop/a.jpg": ("12_2", "top", "12", "2", "shop"),
                    "skirt/7/1/user/a.jpg": ("7_1", "skirt", "7", "1", "user"),
                    "skirt/7/1/shop/a.jpg": ("7_1", "skirt", "7", "1", "shop")}


def test_a_tree_of_one_category_or_within_a_folder_is_known_too(photos):
    assert read_layout(photos(*TREE[:3], folder="one"))[0] == "consumer_to_shop"
    assert read_layout(photos(*["data/set/" + name for name in TREE], folder="deep"))[0] == "consumer_to_shop"


def test_pairs_under_two_categories_and_images_elsewhere_are_told(photos):
    root = photos(*(TREE + ["hat/12/1/shop/c.jpg", "readme.jpg"]), folder="more")
    _, found = read_layout(root, "consumer_to_shop")
    assert len(found.splits[WHOLE]) == 6
    assert any("12_1 under hat and top" in note for note in found.notes)
    assert any(note.startswith("1 images lie elsewhere") for note in found.notes)


def test_one_side_only(photos):
    with pytest.raises(InputError, match="none of 1 images lies in category/pair_id/style/user/"):
        read_layout(photos("top/12/1/shop/a.jpg"), "consumer_to_shop")
