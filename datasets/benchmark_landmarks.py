"""Google Landmarks v2, retrieval: 1,129 test images with matches search 761,757 index images.

    PATH/[metadata/]train_clean.csv             landmark_id,images ("id id ...")     preferred, else
    PATH/[metadata/]train.csv                   id,url,landmark_id
    PATH/[metadata/]index_image_to_landmark.csv id,landmark_id                       else index.csv: id
    PATH/[metadata/]retrieval_solution_v2.1.csv id,images ("id id ..." or None),Usage (Public or Private)
    PATH/{train,index,test}/a/b/c/abc....jpg    the first three letters of the id are folders

Test images whose `images` is None are ignored by the benchmark: they are left out, and so are their rows of the
solution, of which a copy without them is written. `usage` is Public or Private. Training labels and index labels are
different numberings; the label of a query is that of its first match. Where no training image is there, there is no
training split. The files may also lie in PATH/ground_truth/.

Source: https://github.com/cvdfoundation/google-landmark; Weyand et al., CVPR 2020
"""
import os

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import Found, columns_to_table, rows_to_table

SOLUTION = "retrieval_solution_v2.1.csv"
UNKNOWN = "unknown"
_FOLDERS = ["", "metadata", "ground_truth"]


def is_landmarks(path):
    """Return whether the retrieval solution lies in the folder, its metadata/ or its ground_truth/."""
    return os.path.isdir(path) and _file(path, SOLUTION) is not None


def read_landmarks(path, options):
    """Return the `Found` of Google Landmarks v2.

    Raises:
      InputError: the solution or the index list is missing or malformed.
    """
    solution = _file(path, SOLUTION)
    if solution is None:
        raise InputError("{} holds no {}, nor do its folders metadata and ground_truth".format(path, SOLUTION))
    truth = csv_columns.read(solution, ["id", "images", "Usage"])
    landmarks = _index(path)
    queries, lines = [], ["id,images,Usage"]
    for name, images, usage in zip(truth["id"], truth["images"], truth["Usage"]):
        matches = [] if images in ("None", "") or usage == "Ignored" else images.split()
        if matches:
            queries.append({"path": _place("test", name), "usage": usage, "label": landmarks.get(matches[0], UNKNOWN)})
            lines.append(",".join([name, images, usage]))
    splits = {"query": rows_to_table(queries, path),
              "gallery": _table(path, "index", list(landmarks), list(landmarks.values()))}
    names, labels = _train(path) if os.path.isdir(os.path.join(path, "train")) else ([], [])
    if names:
        splits = dict(train=_table(path, "train", names, labels), **splits)
    notes = ["{:,} test images without matches are ignored, as the benchmark does".format(
        len(truth["id"]) - len(queries))]
    return Found(splits, protocol="landmarks_v2", ground_truth=SOLUTION, notes=notes,
                 files={SOLUTION: "\n".join(lines) + "\n"})


def _index(path):
    """Return {id: landmark} of the index images, in the list's order."""
    file = _file(path, "index_image_to_landmark.csv")
    if file:
        columns = csv_columns.read(file, ["id", "landmark_id"])
        return dict(zip(columns["id"], columns["landmark_id"]))
    file = _file(path, "index.csv")
    if file is None:
        raise InputError("{} holds neither index_image_to_landmark.csv nor index.csv".format(path))
    return dict.fromkeys(csv_columns.read(file, ["id"])["id"], UNKNOWN)


def _train(path):
    """Return the ids and labels of the training images: those of the clean list when it is there."""
    file = _file(path, "train_clean.csv")
    if file:
        columns = csv_columns.read(file, ["landmark_id", "images"])
        lists = [images.split() for images in columns["images"]]
        return ([name for names in lists for name in names],
                [label for label, names in zip(columns["landmark_id"], lists) for _ in names])
    file = _file(path, "train.csv")
    if file is None:
        return [], []
    columns = csv_columns.read(file, ["id", "landmark_id"])
    return columns["id"], columns["landmark_id"]


def _table(path, folder, names, labels):
    # Columns, not rows: there are millions.
    return columns_to_table([_place(folder, name) for name in names], {"label": labels}, path)


def _place(folder, name):
    return os.path.join(folder, name[:1], name[1:2], name[2:3], name + ".jpg")


def _file(path, name):
    files = [os.path.join(path, folder, name) for folder in _FOLDERS]
    return next((file for file in files if os.path.isfile(file)), None)
