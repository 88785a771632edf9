"""Market-1501 and VeRi-776: identity and camera are in the file's name; matches of the query's camera are junk.

    market1501   PATH/bounding_box_train/, query/, bounding_box_test/
                 0002_c1s1_000451_03.jpg: identity 0002, camera 1
                 751 identities train (12,936 images), 3,368 queries search 19,732 images; -1 is junk (3,819), 0000 a
                 distractor (2,798)
    veri         PATH/image_train/, image_query/, image_test/
                 0002_c002_00030600_0.jpg: vehicle 0002, camera 2
                 576 vehicles train (37,778 images), 1,678 queries search 11,579 images

The label is the identity as the name has it (-1 and 0000 too), `camera` the number of the camera.

Sources: Zheng et al., ICCV 2015, http://www.liangzheng.org/Project/project_reid.html; Liu et al., ECCV 2016,
https://vehiclereid.github.io/VeRi/
"""
import os
import re

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import Found, find_images, need_root, root_with, rows_to_table

MARKET = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
VERI = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
_NAME = re.compile(r"(-1|\d+)_c(\d+)")


def is_market(path):
    """Return whether Market-1501's three folders lie in the folder."""
    return root_with(path, *MARKET.values()) is not None


def is_veri(path):
    """Return whether VeRi-776's three folders lie in the folder."""
    return root_with(path, *VERI.values()) is not None


def read_market(path, options):
    """Return the `Found` of Market-1501."""
    return _read(need_root(path, "Market-1501", *MARKET.values()), MARKET, "market1501")


def read_veri(path, options):
    """Return the `Found` of VeRi-776."""
    return _read(need_root(path, "VeRi-776", *VERI.values()), VERI, "veri")


def _read(root, folders, protocol):
    splits = {}
    for split, folder in folders.items():
        images = find_images(os.path.join(root, folder))[0]
        if not images:
            raise InputError("{}: the folder {} holds no image".format(root, folder))
        splits[split] = rows_to_table([_row(folder, image) for image in images], root)
    return Found(splits, protocol=protocol)


def _row(folder, image):
    match = _NAME.match(os.path.basename(image))
    if match is None:
        raise InputError("{}: the image {} is not called <identity>_c<camera>...".format(folder, image))
    return {"path": os.path.join(folder, image), "label": match.group(1), "camera": str(int(match.group(2)))}
