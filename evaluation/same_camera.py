"""Market-1501 and VeRi-776: right is the same identity in another camera.

What the query's own camera saw of it is junk, and so are images of identity -1 (parts of people, bad detections); those
of identity 0 ("distractors") are wrong for every query. Identity and camera are the columns label and camera, or else
the file's name: 0002_c1s1_000451_03.jpg is identity 2 in camera 1, 0002_c002_00030600_0.jpg the same in camera 2.

CMC and mAP are both without junk. Which AP: the authors' program (Zheng et al., ICCV 2015, `compute_AP.m`) takes the
trapezoid, the Python ones that almost all later figures come from (open-reid, torchreid, fast-reid) take the step sum.
Here it is the step sum; `evaluation.ap: trapezoid` gives the authors' figure, and both are in every JSON.
Source: Liang Zheng's baseline code for Market-1501; Liu et al., ECCV 2016 (VeRi-776), whose junk is the same.
"""
import re

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.ground_truth import GroundTruth, Index, codes
from slim_retrieval.evaluation.names import last

FOLDERS = {"market1501": ("query", "bounding_box_test"), "veri": ("image_query", "image_test")}
METRICS = ("mAP", "CMC@1", "CMC@5", "CMC@10", "mINP")
_NAME = re.compile(r"^(-?\d+)_c(\d+)")


def same_camera(query, gallery):
    """Return the `GroundTruth` of two tables (tables.Table) with the columns label and camera, or telling names."""
    sides = [_identities(table) for table in (query, gallery)]
    labels = codes(sides[0][0], sides[1][0])
    seen = codes(list(zip(*sides[0])), list(zip(*sides[1])))
    never = np.array([label == "-1" for label in sides[1][0]])
    relevance = relevances.from_labels(labels[0], labels[1], seen[0], seen[1], never if never.any() else None)
    rule = "same identity in another camera, that of the query's own camera and identity -1 being junk"
    return GroundTruth(Index(query.column("path"), sides[0][0]), Index(gallery.column("path"), sides[1][0]), relevance,
                       rule, metrics=METRICS)


def _identities(table):
    """Return (identities, cameras) as two lists of text."""
    if "camera" in table.columns:
        return table.column("label"), table.column("camera")
    found = [_NAME.match(last(path)) for path in table.column("path")]
    if None in found:
        raise InputError("{}: the name {} does not say identity and camera as 0002_c1s1_000451_03.jpg does; give "
                         "columns label and camera".format(table.where, table.column("path")[found.index(None)]))
    # As numbers: 0002 is the identity 2 of a column, c002 the camera 2.
    return [str(int(one.group(1))) for one in found], [str(int(one.group(2))) for one in found]
