"""What CFA does when no levels are given: settings that need no labels, and the reasons for them.

One number of neighbours suits no two galleries: the best runs from 3 where classes have ten images to 50 and more where
they have hundreds, and nothing in the graph says which classes a user means. So nothing is bet on one: the solutions
of many scales are averaged, which costs about as much as the largest alone and comes within a point of the best
single one. Diffused are node signatures (signatures.py) and, beside them, features: a signature knows the neighbourhood
only, a feature also what lies beyond it. See docs/study.md for the measurements.
"""
import numpy as np

from slim_retrieval.graph import features

SCALES = [3, 5, 8, 12, 20, 30, 50]
SMALLEST_LARGEST = 12  # the largest scale is never cut below this
ALPHA = 0.98
TOLERANCE = 2e-2  # of the solver: rankings do not change below
FEATURE = 0.4     # weight of the features' part beside the signatures' part of weight 1
AGREEMENT = 5     # a query's nearest images whose signatures are compared
DOUBT = 3         # exponent with which their disagreement raises the weight of the query's own feature


def scales(n):
    """Return the scales used for n images: those up to 0.75 sqrt(n), and always those up to 12 (or n - 1).

    A k beyond the size of a class joins classes. Their sizes are not known, but galleries of n images rarely have
    classes far beyond sqrt(n).
    """
    most = min(max(SMALLEST_LARGEST, 0.75 * np.sqrt(n)), max(n - 1, 1))
    return [k for k in SCALES if k <= most] or [1]


def levels(n):
    """Return the levels, as CFA takes them, for n images."""
    return [{"k": scales(n), "alpha": ALPHA}]


def nodes(signatures, original):
    """Return ([signature | feature], float32 [n, width + d], and the columns of the two parts)."""
    width = signatures.shape[1]
    return (np.concatenate([signatures, original], axis=1),
            [slice(0, width), slice(width, width + original.shape[1])])


def combine(diffused, original, parts, residual):
    """Return normalise([signature part | FEATURE (feature part + residual x)]), a new float32 [n, width + d].

    Args:
      diffused: float32 [n, width + d], each part's rows L2-normalised.
      original: x, float32 [n, d], rows L2-normalised.
      parts: the columns of the two parts.
      residual: weight of what the feature was before, one number or [n]; very large: plain nearest neighbours.
    """
    result, residual = np.empty(diffused.shape, np.float32), np.broadcast_to(np.float32(residual), len(diffused))
    for start, stop in features.blocks(*result.shape):
        rows = result[start:stop]
        rows[:, parts[0]] = diffused[start:stop, parts[0]]
        rows[:, parts[1]] = np.float32(FEATURE) * (
            diffused[start:stop, parts[1]] + residual[start:stop, None] * original[start:stop])
    return features.normalise_rows(result)


def residual_of_queries(ids, diffused, residual):
    """Return the weight of each query's own feature, float32 [q]: residual / agreement^DOUBT.

    A query moves to where its nearest gallery images went. Where these went different ways, at most one is right
    for the query, and the query's own feature is the better guide: one match among images of other things is such a
    case. The agreement is the mean inner product of the nearest image's diffused signature and the next ones'.

    Args:
      ids: int [q, K], each query's gallery neighbours, nearest first.
      diffused: float32 [n, width], the signatures' part, rows L2-normalised.
      residual: weight where all agree.
    """
    weights = np.full(len(ids), residual, np.float32)
    if ids.shape[1] > 1:
        for start, stop in features.blocks(len(ids), AGREEMENT * diffused.shape[1]):
            near = diffused[ids[start:stop, :AGREEMENT]]
            agreement = np.einsum("id,ijd->ij", near[:, 0], near[:, 1:]).mean(axis=1)
            weights[start:stop] /= np.clip(agreement, 0.1, 1) ** DOUBT
    return weights


def reasons(chosen, n, residual, mean):
    """Return what was chosen for n images and why: a dict of one sentence each, kept in the report."""
    common = 0.0 if mean is None else float(np.linalg.norm(mean))
    return {"neighbors": "scales {} averaged: all up to 0.75 sqrt({} images)".format(chosen[0]["k"], n),
            "strength": "alpha {}: with many scales and the feature kept, .9 to .98 hardly differ".format(
                chosen[0]["alpha"]),
            "levels": "1: a graph built again from its own result repeats its errors",
            "cells": "1: the solver needs no cut",
            "residual": "{}: what the graph cannot tell, the feature still tells".format(residual),
            "centring": "none: the features have little in common" if mean is None else
                        "the mean, of norm {:.2f}, is taken away: all features have it, so it tells nothing".format(
                            common)}
