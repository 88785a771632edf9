"""ILIAS, instance-level retrieval at scale: queries and positives by their ids, 100 million distractors unlisted.

    image_ids/image_query_ids.txt     <object>/<name>,...      the id is what stands before the first comma
    image_ids/text_query_ids.txt      <object>/<name>
    image_ids/positive_ids.txt        <object>/<name>,...

An id's first part is its object: right are the positives of the query's object. Reported is mAP@1000, `at_depth` of
average_precision.py. Order: sorted ids, as in the authors' program.
Source: Kordopatis-Zilos et al., CVPR 2025; github.com/ilias-vrg/ilias, evaluation/src/dataset.py.
"""
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.ground_truth import listed
from slim_retrieval.evaluation.tables import read_lines

METRICS = ("mAP@1000", "mAP")


def read_image_queries(path):
    """Return the `GroundTruth` of the image queries; `path` is the data set's folder or its image_ids."""
    return _read(path, "image_query_ids.txt")


def read_text_queries(path):
    """Return the `GroundTruth` of the text queries."""
    return _read(path, "text_query_ids.txt")


def _read(path, file):
    folder = path if os.path.isfile(os.path.join(path, file)) else os.path.join(path, "image_ids")
    queries, gallery = (_ids(os.path.join(folder, name)) for name in (file, "positive_ids.txt"))
    of_object = {}
    for name in gallery:
        of_object.setdefault(name.split("/")[0], []).append(name)
    positives = [of_object.get(name.split("/")[0], []) for name in queries]
    return listed(queries, gallery, positives, [[] for _ in queries], "images of the query's object", metrics=METRICS,
                  is_complete=False)


def _ids(path):
    if not os.path.isfile(path):
        raise InputError("no {}; give the folder of ILIAS, with its image_ids".format(path))
    return sorted(line.split(",")[0].strip() for line in read_lines(path))
