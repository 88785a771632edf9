"""Cars-196: classes 1-98 train (8,054 images), 99-196 are query and gallery at once (8,131).

    PATH/cars_annos.mat, car_ims/<image>.jpg                        one list of all images
    PATH/.../cars_train_annos.mat, cars_test_annos_withlabels.mat   the devkit, class names in cars_meta.mat,
    PATH/cars_train/<image>.jpg, cars_test/<image>.jpg              with the images in two folders
    PATH/train/<class>/<image>.jpg, test/<class>/<image>.jpg        folders by class, with --layout cars196 only;
                                                                    classes are numbered in the order of their names

The original division into training and test images, made for classification, is not used: retrieval divides by class.
`boxes` crops to bbox_x1 ... bbox_y2 (pixels from 1, inclusive); published results are of whole images.

Source: Krause et al., 3dRR-13; https://ai.stanford.edu/~jkrause/cars/car_dataset.html (devkit README)
"""
import os

import numpy as np
from scipy.io import loadmat

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.benchmark_metric import query_is_gallery
from slim_retrieval.datasets.found import find_images, root_with
from slim_retrieval.datasets.regions import format_box

ONE, TRAIN, TEST, META = ("cars_annos.mat", "cars_train_annos.mat", "cars_test_annos_withlabels.mat", "cars_meta.mat")
TRAIN_CLASSES = 98


def is_cars(path):
    """Return whether the lists of Cars-196 (.mat) lie in the folder or one of its folders."""
    return root_with(path, ONE) is not None or root_with(path, TRAIN) is not None


def read_cars(path, options):
    """Return the `Found` of Cars-196 in any of its three forms.

    Raises:
      InputError: none of the three is there, or a list is no .mat file of the published form.
    """
    if root_with(path, ONE) or root_with(path, TRAIN):
        return _read_lists(path, options)
    root = root_with(path, "train", "test")
    images = find_images(root)[0] if root else []
    rows = [(image.split(os.sep)[1], image) for image in images if image.count(os.sep) == 2]
    if not rows:
        raise InputError("{} holds neither {} nor {}, nor train/<class>/ and test/<class>/ with images".format(
            path, ONE, TRAIN))
    names = sorted({name for name, _ in rows})
    parts = {"train": [], "test": []}
    for name, image in rows:
        parts["train" if names.index(name) < TRAIN_CLASSES else "test"].append({"path": image, "label": name})
    return query_is_gallery(parts, root, "cars196")


def _read_lists(path, options):
    one = root_with(path, ONE)
    root = one or path
    if one:
        annotations = _load(os.path.join(one, ONE))
    else:
        folder = root_with(path, TRAIN)
        lists = {"cars_train": os.path.join(folder, TRAIN), "cars_test": _find(path, folder, TEST)}
        annotations = [(dict(row, path=os.path.join(images, row["path"])))
                       for images, file in lists.items() for row in _load(file)]
        root = root_with(path, "cars_train", "cars_test") or path
    meta = root_with(path, META)
    names = [str(np.squeeze(name)) for name in _mat(os.path.join(meta, META), "class_names").ravel()] if meta else []
    parts = {"train": [], "test": []}
    for row in annotations:
        number = row.pop("class")
        row["label"] = names[number - 1] if number <= len(names) else "{:03d}".format(number)
        if not options["boxes"]:
            row.pop("box")
        parts["train" if number <= TRAIN_CLASSES else "test"].append(row)
    return query_is_gallery(parts, root, "cars196")


def _load(file):
    """Return {path, class, box} of each annotation."""
    records = _mat(file, "annotations").ravel()
    names = records.dtype.names or ()
    image = next((name for name in ("relative_im_path", "fname") if name in names), None)
    if image is None or "class" not in names:
        raise InputError("{}: annotations have the fields {}; expected {} and class{}".format(
            file, ", ".join(names), "relative_im_path or fname",
            " (take {} for the test images)".format(TEST) if "class" not in names else ""))
    rows = []
    for record in records:
        x1, y1, x2, y2 = (int(np.squeeze(record["bbox_" + side])) for side in ("x1", "y1", "x2", "y2"))
        rows.append({"path": str(np.squeeze(record[image])), "class": int(np.squeeze(record["class"])),
                     "box": format_box([x1 - 1, y1 - 1, x2, y2])})
    return rows


def _mat(file, variable):
    try:
        content = loadmat(file)
    except Exception as error:  # SciPy raises nearly anything on what is no .mat file
        raise InputError("{} is no .mat file: {}".format(file, " ".join(str(error).split())[:80])) from error
    if variable not in content:
        raise InputError("{} holds no variable {}".format(file, variable))
    return content[variable]


def _find(path, folder, name):
    for candidate in (folder, path):
        if os.path.isfile(os.path.join(candidate, name)):
            return os.path.join(candidate, name)
    raise InputError("{} holds no {}: the devkit's cars_test_annos.mat has no classes; fetch the one with labels from "
                     "the data set's page".format(folder, name))
