"""Holidays and UKBench: an image's number, at the end of its name, says which images show the same.

Holidays (Jegou et al., ECCV 2008): 100301.jpg is picture 01 of the scene 1003; picture 00 of each scene is its query,
and the query itself is taken out of its ranking. AP is the trapezoid, as in the authors' `holidays_map.py`.
UKBench (Nister and Stewenius, CVPR 2006): ukbench00000.jpg to ukbench00003.jpg are the first object, the next four the
second; every image is a query and counts as found when it finds itself. N-S is the mean number of right ones among the
first four, at most 4.
"""
import re

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.ground_truth import GroundTruth, Index, codes
from slim_retrieval.evaluation.names import last

SCENE, OBJECT = 100, 4  # numbers in a scene of Holidays, in an object of UKBench


def holidays(query, gallery):
    """Return the `GroundTruth` of Holidays; where both tables are one, pictures 00 are taken as queries."""
    if query is gallery:
        query = query.take(np.flatnonzero(_numbers(query) % SCENE == 0))
    asked, found = _numbers(query), _numbers(gallery)
    others = np.flatnonzero(asked % SCENE)
    if others.size:
        raise InputError("{}: {} is no query of Holidays; the names of queries end in 00".format(
            query.where, query.column("path")[others[0]]))
    relevance = relevances.from_labels(*codes(asked // SCENE, found // SCENE), *codes(asked, found))
    return _truth(query, gallery, SCENE, relevance, "same scene, the query's own image being junk")._replace(
        ap="trapezoid", metrics=("mAP", "recall@1"))


def ukbench(query, gallery):
    """Return the `GroundTruth` of UKBench."""
    relevance = relevances.from_labels(*codes(_numbers(query) // OBJECT, _numbers(gallery) // OBJECT))
    return _truth(query, gallery, OBJECT, relevance, "same object, the query's own image included")._replace(
        metrics=("N-S", "mAP"))


def _truth(query, gallery, size, relevance, rule):
    sides = [Index(table.column("path"), [str(number // size) for number in _numbers(table)])
             for table in (query, gallery)]
    return GroundTruth(sides[0], sides[1], relevance, rule)


def _numbers(table):
    """Return the number at the end of each name, int64 [n]."""
    found = [re.search(r"(\d{1,18})$", last(path)) for path in table.column("path")]
    if None in found:
        raise InputError("{}: the name {} does not end in a number, as 100000.jpg and ukbench00000.jpg do".format(
            table.where, table.column("path")[found.index(None)]))
    return np.array([int(one.group(1)) for one in found], np.int64)
