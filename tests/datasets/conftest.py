import os
import zlib

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes small photos, each its own picture, below tmp_path; it gives the folder."""
    def write(*names, size=(12, 10), folder=""):
        root = os.path.join(str(tmp_path), folder)
        for name in names:
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            random = np.random.RandomState(zlib.crc32(name.encode("utf-8", "surrogateescape")))
            cells = random.randint(0, 256, (4, 4, 3)).astype(np.uint8)
            Image.fromarray(cells).resize(size, Image.NEAREST).save(path)
        return root
    return write


@pytest.fixture
def text(tmp_path):
    """Return a function that writes a text file below tmp_path; it gives the path."""
    def write(name, content, encoding="utf-8"):
        path = os.path.join(str(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content.encode(encoding))
        return path
    return write


@pytest.fixture
def oxford(photos, text):
    """Oxford5k: two queries in four images."""
    names = ["all_souls_000013", "all_souls_000026", "ashmolean_000000", "oxford_002904"]
    root = photos(*["images/{}.jpg".format(name) for name in names], folder="ox")
    text("ox/gt_files_170407/all_souls_1_query.txt", "oxc1_all_souls_000013 2.5 1.1 8.5 9.7\n")
    text("ox/gt_files_170407/all_souls_1_good.txt", "all_souls_000013\n")
    text("ox/gt_files_170407/all_souls_1_ok.txt", "all_souls_000026\n")
    text("ox/gt_files_170407/all_souls_1_junk.txt", "ashmolean_000000\n")
    text("ox/gt_files_170407/ashmolean_1_query.txt", "oxc1_ashmolean_000000 0.0 0.0 12.0 10.0\n")
    for part in ("good", "ok", "junk"):
        text("ox/gt_files_170407/ashmolean_1_{}.txt".format(part), "")
    return root


@pytest.fixture
def cub(photos, text):
    """CUB-200-2011: the first and the last class of each half, two images each."""
    names = ["001.Black_footed_Albatross", "100.Brown_Pelican", "101.White_Pelican", "200.Common_Yellowthroat"]
    images = ["{}/{}_{}.jpg".format(name, name[4:], i) for name in names for i in (1, 2)]
    root = photos(*["images/" + image for image in images], folder="CUB_200_2011")
    text("CUB_200_2011/images.txt", "".join("{} {}\n".format(i, image) for i, image in enumerate(images, 1)))
    text("CUB_200_2011/image_class_labels.txt", "".join("{} {}\n".format(i, int(image[:3]))
                                                      for i, image in enumerate(images, 1)))
    text("CUB_200_2011/classes.txt", "".join("{} {}\n".format(int(name[:3]), name) for name in names))
    text("CUB_200_2011/bounding_boxes.txt", "".join("{} 2.0 1.0 6.0 5.0\n".format(i) for i in range(1, 9)))
    return root


@pytest.fixture
def landmarks(photos, text):
    """Google Landmarks v2: a training image, two index images, a query and a test image that is ignored."""
    ids = ["0123456789abcdef", "4444444444444444", "fedcba9876543210", "aaaabbbbccccdddd", "eeee0000ffff1111"]

    def place(folder, name):
        return "{}/{}/{}/{}/{}.jpg".format(folder, name[0], name[1], name[2], name)
    root = photos(place("train", ids[0]), place("index", ids[1]), place("index", ids[2]), place("test", ids[3]),
                  place("test", ids[4]))
    text("metadata/train.csv", "id,url,landmark_id\n{},http://x/a?b,7\n".format(ids[0]))
    text("metadata/index_image_to_landmark.csv", "id,landmark_id\n{},41\n{},42\n".format(ids[1], ids[2]))
    text("metadata/retrieval_solution_v2.1.csv", "id,images,Usage\n{},{} {},Private\n{},None,Ignored\n".format(
        ids[3], ids[2], ids[1], ids[4]))
    return root
