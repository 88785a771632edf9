"""The lists of images and classes that benchmarks of metric learning come with, as tables.

    cub200    images.txt and image_class_labels.txt of CUB_200_2011; classes 101-200 are the test set
    cars196   cars_annos.mat; classes 99-196 are the test set
    sop       Ebay_test.txt of Stanford Online Products
    inshop    list_eval_partition.txt of DeepFashion In-shop Clothes Retrieval

All but In-shop search each test image among all others (its own image is junk); In-shop has queries and a gallery.
The halves of CUB and Cars are those of Song et al., CVPR 2016, section 6. What each reports is Recall@k at the depths
of its table there (In-shop: Liu et al., CVPR 2016). Order: that of the list.
"""
import os

import scipy.io

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import tables
from slim_retrieval.evaluation.tables import Table

FILES = {"cub200": "images.txt", "cars196": "cars_annos.mat", "sop": "Ebay_test.txt",
         "inshop": "list_eval_partition.txt"}
METRICS = {"cub200": ("recall@1", "recall@2", "recall@4", "recall@8", "MAP@R", "mAP"),
           "sop": ("recall@1", "recall@10", "recall@100", "recall@1000", "MAP@R", "mAP"),
           "inshop": ("recall@1", "recall@10", "recall@20", "recall@30", "recall@40", "mAP")}
METRICS["cars196"] = METRICS["cub200"]


def read_pair(name, path):
    """Return the tables (query, gallery) of a benchmark's own list, or of any list of images with labels.

    Args:
      name: key of `FILES`.
      path: the list, or a folder that holds it; or what `tables.read_pair` reads.
    """
    file = os.path.join(path, FILES[name]) if os.path.isdir(path) else path
    if os.path.basename(file) != FILES[name] or not os.path.isfile(file):
        return tables.read_pair(path)
    try:
        return _READERS[name](file)
    except (IndexError, ValueError, KeyError) as error:
        raise InputError("{} is not laid out as the {} of {} ({}); fetch it again".format(
            file, FILES[name], name, error)) from error


def _cub200(path):
    labels_path = os.path.join(os.path.dirname(path), "image_class_labels.txt")
    if not os.path.isfile(labels_path):
        raise InputError("no {}; it must lie beside images.txt".format(labels_path))
    labels = dict(line.split() for line in tables.read_lines(labels_path))
    images = [line.split(None, 1) for line in tables.read_lines(path)]
    return _both([(image, labels[number]) for number, image in images if int(labels[number]) > 100], path)


def _cars196(path):
    try:
        found = scipy.io.loadmat(path, squeeze_me=True)["annotations"]
    except Exception as error:  # a damaged file raises nearly anything
        raise ValueError(error) from error
    rows = [(str(one["relative_im_path"]), str(int(one["class"]))) for one in found.reshape(-1)]
    return _both([row for row in rows if int(row[1]) > 98], path)


def _sop(path):
    rows = [line.split() for line in tables.read_lines(path)[1:]]
    return _both([(image, label) for _, label, _, image in rows], path)


def _inshop(path):
    rows = [line.split() for line in tables.read_lines(path)[2:]]
    return tuple(_table([(image, item) for image, item, status in rows if status == split], path)
                 for split in tables.SPLITS)


_READERS = {"cub200": _cub200, "cars196": _cars196, "sop": _sop, "inshop": _inshop}


def _both(rows, path):
    return (_table(rows, path),) * 2


def _table(rows, path):
    if not rows:
        raise ValueError("no image of the test set")
    return Table({"path": [image for image, _ in rows], "label": [label for _, label in rows]}, path)
