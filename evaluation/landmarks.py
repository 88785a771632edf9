"""Google Landmarks v2: retrieval (mAP@100) and recognition (GAP), from the solutions and submissions of the challenge.

    retrieval_solution_v2.1.csv      id,images,Usage       images: index ids, separated by blanks, or None
    recognition_solution_v2.1.csv    id,landmarks,Usage    landmarks: numbers; empty where the photo shows none
    submissions                      id,images             best first          id,landmarks     number and score

Usage is Public, Private or Ignored. Retrieval's own result is over both, and each is a setting. Queries that are
Ignored have no positives and are left out. Recognition is one list of all photos: those without a landmark are
distractors, and Ignored ones count in nothing. Order: that of the solution; index images are known by name only.
Source: Weyand et al., CVPR 2020, section 4.3; tensorflow/models, research/delf, google_landmarks_dataset.
"""
import os

import numpy as np

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.gap import global_average_precision
from slim_retrieval.evaluation.ground_truth import Setting, listed

RECOGNITION = "landmarks_v2_recognition"  # the protocol's name
METRICS = ("mAP@100", "mAP")


def read_retrieval(path):
    """Return the `GroundTruth` of retrieval; `path` is the solution or a folder that holds it."""
    columns = _read_solution(path, "retrieval_solution_v2.1.csv", "images")
    positives = [sorted(set(images.split()) - {"None"}) if usage != "Ignored" else []
                 for images, usage in zip(columns["images"], columns["Usage"])]
    gallery = sorted({name for names in positives for name in names})
    truth = listed(columns["id"], gallery, positives, [[] for _ in positives], "listed images", metrics=METRICS,
                   is_complete=False)
    settings = {}
    for usage in ("Public", "Private"):
        rows = np.array([i for i, one in enumerate(columns["Usage"]) if one == usage], np.int64)
        if len(rows):
            part = relevances.rearranged(truth.relevance, rows, np.arange(len(gallery)))
            settings[usage.lower()] = Setting(part, rows)
    return truth._replace(settings=settings)


def recognition(predictions_path, solution_path):
    """Return the result of recognition: {"GAP": ..., "GAP_public": ..., "GAP_private": ..., "num_queries": ...}.

    Args:
      predictions_path: CSV with id and landmarks: one number and one score, separated by a blank, or nothing.
      solution_path: the solution, or a folder that holds it.
    """
    solution = _read_solution(solution_path, "recognition_solution_v2.1.csv", "landmarks")
    answers = {name: set(landmarks.split()) for name, landmarks in zip(solution["id"], solution["landmarks"])}
    usage = dict(zip(solution["id"], solution["Usage"]))
    predictions = _read_predictions(predictions_path, usage)
    result = {"num_queries": sum(one != "Ignored" for one in usage.values())}
    for key, parts in (("GAP", ("Public", "Private")), ("GAP_public", ("Public",)), ("GAP_private", ("Private",))):
        names = [name for name in sorted(answers) if usage[name] in parts]  # by id: it breaks ties
        if any(answers[name] for name in names):
            some = [(predictions[name][1], predictions[name][0] in answers[name]) for name in names
                    if name in predictions]
            result[key] = global_average_precision([score for score, _ in some], [right for _, right in some],
                                                   sum(bool(answers[name]) for name in names))
    if "GAP" not in result:
        raise InputError("{}: no photo has a landmark; GAP needs at least one".format(solution_path))
    result["num_predictions"] = sum(usage[name] != "Ignored" for name in predictions)
    return result


def _read_solution(path, name, column):
    path = os.path.join(path, name) if os.path.isdir(path) else path
    columns = csv_columns.read(path, ["id", column, "Usage"], "give {} or the folder that holds it".format(name))
    for row, usage in enumerate(columns["Usage"], 1):
        if usage not in ("Public", "Private", "Ignored"):
            raise InputError("{} row {}: Usage is {!r}; it must be Public, Private or Ignored".format(path, row, usage))
    if len(set(columns["id"])) != len(columns["id"]):
        raise InputError("{} has an id twice; fetch it again".format(path))
    return columns


def _read_predictions(path, known):
    """Return {id: (landmark, score)} of those that predict something."""
    columns, result = csv_columns.read(path, ["id", "landmarks"], "give the submission"), {}
    if len(set(columns["id"])) != len(columns["id"]):
        raise InputError("{} has an id twice; one prediction for each photo".format(path))
    for row, (name, text) in enumerate(zip(columns["id"], columns["landmarks"]), 1):
        if name not in known:
            raise InputError("{} row {}: {} is not among the {} photos of the solution".format(
                path, row, name, len(known)))
        words = text.split()
        try:
            if words:
                landmark, score = words
                result[name] = landmark, float(score)
        except ValueError as error:
            raise InputError("{} row {}: {!r} is not a landmark and a score".format(path, row, text)) from error
    return result
