"""DeepFashion's In-Shop benchmark, and DeepFashion2's consumer-to-shop benchmark.

    inshop         PATH/.../list_eval_partition.txt    a count, a heading, then: image_name item_id evaluation_status
                   PATH/.../img/WOMEN/Dresses/id_00000002/02_1_front.jpg
                   3,997 items train, 3,985 test: 14,218 queries search 12,612 images
    deepfashion2   PATH/train/annos/000001.json, PATH/train/image/000001.jpg, PATH/validation/...
                   {source: shop or user, pair_id, item1: {category_name, style, bounding_box [x1 y1 x2 y2]}, ...}
                   Each item is one row, cropped to its box. The annotations of the test images are not public, so the
                   items of the validation images are searched: queries are those of users with a style above 0
                   (12,550), the gallery is all of shops (37,183). A match is the same pair_id and style; style 0
                   matches nothing.

Sources: Liu et al., CVPR 2016, http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html (README); Ge et
al., CVPR 2019, https://github.com/switchablenorms/DeepFashion2 (README and evaluation code)
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import read_json
from slim_retrieval.common.progress import progress
from slim_retrieval.datasets.found import (
    Found,
    folder_contents,
    need_root,
    read_lines,
    root_with,
    rows_to_table,
    split_lines,
)
from slim_retrieval.datasets.regions import format_box

PARTITION = "list_eval_partition.txt"
DF2_MARKS = [os.path.join("validation", "annos"), os.path.join("validation", "image")]


def is_inshop(path):
    """Return whether In-Shop's partition lies in the folder or one of its folders."""
    root = root_with(path, PARTITION)
    return root is not None and [line.split() for line in read_lines(os.path.join(root, PARTITION))[1:2]] == [
        ["image_name", "item_id", "evaluation_status"]]


def is_deepfashion2(path):
    """Return whether DeepFashion2's validation annotations and images lie in the folder."""
    return root_with(path, *DF2_MARKS) is not None


def read_inshop(path, options):
    """Return the `Found` of In-Shop; `category` is the folder of the image.

    Raises:
      InputError: no partition of three columns, an unknown status, or no folder img.
    """
    folder = need_root(path, "DeepFashion In-Shop", PARTITION)
    file = os.path.join(folder, PARTITION)
    images = next((os.path.join(path, name) for name in ["."] + folder_contents(path)[0]
                   if os.path.isdir(os.path.join(path, name, "img"))), None)
    if images is None:
        raise InputError("{} holds no folder img, nor does a folder in it; unpack img.zip".format(path))
    splits = {"train": [], "query": [], "gallery": []}
    for image, item, status in split_lines(file, 3, skip=2):
        if status not in splits:
            raise InputError("{}: {} has the status {!r}; expected train, query or gallery".format(file, image, status))
        splits[status].append({"path": image, "label": item, "category": image.split("/")[-3]})
    return Found({split: rows_to_table(rows, images) for split, rows in splits.items()}, protocol="inshop")


def read_deepfashion2(path, options):
    """Return the `Found` of DeepFashion2, an item a row, with pair_id, style, category and source.

    Raises:
      InputError: an annotation is not of the published form.
    """
    root = need_root(path, "DeepFashion2", *DF2_MARKS)
    found = _items(root, "validation")
    splits = {"query": [row for row in found if row["source"] == "user" and row["style"] != "0"],
              "gallery": [row for row in found if row["source"] == "shop"]}
    if os.path.isdir(os.path.join(root, "train", "annos")):
        # An item of style 0 has no partner: there is nothing to learn from it.
        splits = dict(train=[row for row in _items(root, "train") if row["style"] != "0"], **splits)
    return Found({split: rows_to_table(rows, root) for split, rows in splits.items()}, protocol="deepfashion2",
                 notes=["queries and gallery are the items of the validation images: those of the test images are not "
                        "public"])


def _items(root, part):
    """Return the rows of all items of train or validation."""
    folder, rows = os.path.join(root, part, "annos"), []
    names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    for name in progress(names, what="reading {}/annos".format(part), unit="file"):
        file = os.path.join(folder, name)
        content = read_json(file)
        try:
            for key in sorted(key for key in content if key.startswith("item")):
                rows.append(_row(part, os.path.splitext(name)[0], key, content))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("{} is not of DeepFashion2's form: {!r} is missing or wrong".format(file, str(error))) \
                from error
    return rows


def _row(part, stem, key, content):
    item, style = content[key], int(content[key]["style"])
    label = "{}_{}".format(int(content["pair_id"]), style)
    if style == 0:
        label += "_{}_{}".format(stem, key)  # a label of its own: it matches nothing
    return {"path": os.path.join(part, "image", stem + ".jpg"), "label": label, "pair_id": str(content["pair_id"]),
            "style": str(style), "category": str(item["category_name"]), "source": str(content["source"]),
            "item": key, "box": format_box(item["bounding_box"])}
