"""The benchmarks of deep metric learning: half of the classes train, the other half is query and gallery at once.

    cub200    PATH/images.txt, image_class_labels.txt, classes.txt, images/<class>/<image>.jpg
              classes 1-100 train (5,864 images), 101-200 test (5,924)
    sop       PATH/Ebay_train.txt, Ebay_test.txt: image_id class_id super_class_id path
              11,318 classes train (59,551 images), 11,316 test (60,502)
    omniglot  PATH/images_background/<alphabet>/<character>/<image>.png, images_evaluation/...
              964 characters train, 659 test; `rotations` adds those of the training characters by 90, 180 and 270
              degrees as classes of their own, as Vinyals et al. do

PATH may be the folder that holds these, or one above. Cars-196 is in benchmark_cars.py. `boxes` crops CUB to its boxes
(x y width height); published results are of whole images.

Sources: Wah et al., CNS-TR-2011-001 (2011), http://www.vision.caltech.edu/datasets/cub_200_2011/; Song et al.,
CVPR 2016, https://cvgl.stanford.edu/projects/lifted_struct/; Lake et al., Science 350 (2015),
https://github.com/brendenlake/omniglot; Vinyals et al., NIPS 2016, for the rotations
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import Found, find_images, need_root, root_with, rows_to_table, split_lines
from slim_retrieval.datasets.regions import format_box

CUB_MARKS = ["images.txt", "image_class_labels.txt", "classes.txt", "images"]
SOP_MARKS = ["Ebay_train.txt", "Ebay_test.txt"]
OMNIGLOT_MARKS = ["images_background", "images_evaluation"]
CUB_TRAIN_CLASSES = 100


def is_cub(path):
    """Return whether CUB-200-2011's lists lie in the folder."""
    return root_with(path, *CUB_MARKS) is not None


def is_sop(path):
    """Return whether the lists of Stanford Online Products lie in the folder."""
    return root_with(path, *SOP_MARKS) is not None


def is_omniglot(path):
    """Return whether Omniglot's two folders lie in the folder."""
    return root_with(path, *OMNIGLOT_MARKS) is not None


def read_cub(path, options):
    """Return the `Found` of CUB-200-2011.

    Raises:
      InputError: a list is missing or malformed.
    """
    root = need_root(path, "CUB-200-2011", *CUB_MARKS)
    lists = {name: dict(split_lines(os.path.join(root, name + ".txt"), 2))
             for name in ("images", "image_class_labels", "classes")}
    boxes = {}
    if options["boxes"]:
        for number, x, y, width, height in split_lines(os.path.join(root, "bounding_boxes.txt"), 5):
            boxes[number] = format_box([float(x), float(y), float(x) + float(width), float(y) + float(height)])
    rows = {"train": [], "test": []}
    for number, image in lists["images"].items():
        label = lists["image_class_labels"].get(number)
        if label is None or label not in lists["classes"]:
            raise InputError("{}: image {} ({}) has no class in image_class_labels.txt and classes.txt".format(
                root, number, image))
        row = {"path": os.path.join("images", image), "label": lists["classes"][label]}
        if boxes:
            row["box"] = boxes[number]
        rows["train" if int(label) <= CUB_TRAIN_CLASSES else "test"].append(row)
    return query_is_gallery(rows, root, "cub200")


def read_sop(path, options):
    """Return the `Found` of Stanford Online Products; `super_class` is the kind of product.

    Raises:
      InputError: a list is missing or malformed.
    """
    root = need_root(path, "Stanford Online Products", *SOP_MARKS)
    rows = {split: [{"path": image, "label": label, "super_class": image.split("_final")[0]}
                    for _, label, _, image in split_lines(os.path.join(root, "Ebay_{}.txt".format(split)), 4, skip=1)]
            for split in ("train", "test")}
    return query_is_gallery(rows, root, "sop")


def read_omniglot(path, options):
    """Return the `Found` of Omniglot; the label is alphabet/character."""
    root = need_root(path, "Omniglot", *OMNIGLOT_MARKS)
    rows = {}
    for split, folder in zip(("train", "test"), OMNIGLOT_MARKS):
        images = find_images(os.path.join(root, folder))[0]
        wrong = [image for image in images if image.count(os.sep) != 2]
        if wrong or not images:
            raise InputError("{}: expected <alphabet>/<character>/<image>, got {}".format(
                os.path.join(root, folder), wrong[0] if wrong else "no image"))
        rows[split] = [{"path": os.path.join(folder, image), "label": os.path.dirname(image).replace(os.sep, "/"),
                        "alphabet": image.split(os.sep)[0]} for image in images]
    notes = []
    if options["rotations"]:
        rows["train"] = [dict(row, rotation=str(turn), label=row["label"] + ("_{}".format(turn) if turn else ""))
                         for turn in (0, 90, 180, 270) for row in rows["train"]]
        notes.append("the training characters turned by 90, 180 and 270 degrees are classes of their own")
    return query_is_gallery(rows, root, "classes", notes)


def query_is_gallery(rows, root, protocol, notes=()):
    """Return the `Found` of {train, test} rows, every test image searching all others.

    Raises:
      InputError: one of the two has no image.
    """
    for split in ("train", "test"):
        if not rows[split]:
            raise InputError("{}: no image of a {} class; the benchmark needs both halves".format(root, split))
    test = rows_to_table(rows["test"], root)
    return Found({"train": rows_to_table(rows["train"], root), "query": test, "gallery": test}, protocol=protocol,
                 notes=list(notes))
