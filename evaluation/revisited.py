"""Revisited Oxford and Paris (ROxford5k, RParis6k): gnd_roxford5k.pkl and gnd_rparis6k.pkl of their authors.

The pickle is a dict: imlist (names of the gallery), qimlist (of the queries) and gnd, for each query a dict with lists
of gallery ids: easy, hard and junk (and bbx, the query's box). Three settings:

    easy      easy images are right; hard and junk ones are removed
    medium    easy and hard images are right; junk ones are removed      (the result's own mAP)
    hard      hard images are right; easy and junk ones are removed

AP is the trapezoid; mP@k is `precision.revisited`. A query without positives in a setting is left out of it. Order:
that of qimlist and imlist. The same authors' gnd_oxford5k.pkl and gnd_paris6k.pkl have ok and junk, for the old
protocol.
Source: Radenovic et al., CVPR 2018, section 3; github.com/filipradenovic/revisitop, python/evaluate.py.
"""
import os

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.restricted_pickle import read_pickle
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.ground_truth import Setting, from_ids

METRICS = ("mAP", "mP@1", "mP@5", "mP@10")
SETTINGS = {"easy": (["easy"], ["hard", "junk"]), "medium": (["easy", "hard"], ["junk"]),
            "hard": (["hard"], ["easy", "junk"])}


def read_roxford(path):
    """Return the `GroundTruth` of ROxford5k: gnd_roxford5k.pkl or a folder that holds it."""
    return _read_revisited(path, "gnd_roxford5k.pkl")


def read_rparis(path):
    """Return the `GroundTruth` of RParis6k: gnd_rparis6k.pkl or a folder that holds it."""
    return _read_revisited(path, "gnd_rparis6k.pkl")


def read_original(path, name, rule, metrics):
    """Return the `GroundTruth` of the old protocol: a pickle whose gnd has ok and junk; a folder may hold it."""
    path, queries, gallery, gnd = _read(path, name)
    positives, junk = (_ids(gnd, [kind], len(gallery), path) for kind in ("ok", "junk"))
    return from_ids(queries, gallery, positives, junk, rule, ap="trapezoid", metrics=metrics)


def _read_revisited(path, name):
    path, queries, gallery, gnd = _read(path, name)
    lists = {setting: [_ids(gnd, kinds, len(gallery), path) for kinds in both] for setting, both in SETTINGS.items()}
    truth = from_ids(queries, gallery, *lists["medium"], rule="medium: easy and hard images, junk removed",
                     ap="trapezoid", metrics=METRICS)
    return truth._replace(settings={
        setting: Setting(truth.relevance if setting == "medium" else relevances.from_lists(*both, len(gallery)))
        for setting, both in lists.items()})


def _read(path, name):
    """Return (path of the pickle, qimlist, imlist, gnd)."""
    path = os.path.join(path, name) if os.path.isdir(path) else path
    content = read_pickle(path)
    if not isinstance(content, dict) or not {"gnd", "imlist", "qimlist"} <= set(content):
        raise InputError("{} holds {} rather than a dict with gnd, imlist and qimlist; fetch {} again".format(
            path, "a dict with " + ", ".join(map(str, content)) if isinstance(content, dict) else
            "a " + type(content).__name__, name))
    queries, gallery = ([str(one) for one in content[key]] for key in ("qimlist", "imlist"))
    if len(content["gnd"]) != len(queries):
        raise InputError("{} has a gnd for {} queries and a qimlist of {}; fetch {} again".format(
            path, len(content["gnd"]), len(queries), name))
    return path, queries, gallery, content["gnd"]


def _ids(gnd, kinds, num_gallery, path):
    """Return the ids of all `kinds` together for each query, int64."""
    for row, one in enumerate(gnd):
        missing = [kind for kind in kinds if kind not in one]
        if missing:
            raise InputError("{}: query {} has no list {!r}, but {}; is it the ground truth of this protocol?".format(
                path, row, missing[0], ", ".join(sorted(map(str, one)))))
    lists = [np.concatenate([np.asarray(one[kind]).reshape(-1) for kind in kinds]).astype(np.int64) for one in gnd]
    for row, ids in enumerate(lists):
        if ids.size and not 0 <= ids.min() <= ids.max() < num_gallery:
            raise InputError("{}: query {} names the image {}, but imlist has {}; fetch it again".format(
                path, row, ids.max() if ids.max() >= num_gallery else ids.min(), num_gallery))
    return lists
