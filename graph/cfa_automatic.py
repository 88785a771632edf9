"""What CFA does when no levels are given: settings that need no labels, and the reasons for them.

One number of neighbours suits no two galleries: the best runs from 3 where classes have ten images to 50 and more where
they have hundreds, and nothing in the graph says which classes a user means. So nothing is bet on one: the graphs of
many scales are added, each divided by its k so that all weigh the same. The nearest of mutual neighbours are in all of
them, the others in the larger ones only. That is a single system, and as good as the average of many. Where an image's
neighbours have not become alike by it, the graph tells little, and a gentler one is solved in its place. Diffused are
node signatures (signatures.py) and, beside them, features: a signature knows the neighbourhood only, a feature also
what lies beyond it. See docs/study.md for the measurements.
"""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph import features

SCALES = [3, 5, 8, 12, 20, 30, 50]
SMALLEST_LARGEST = 12  # the largest scale is never cut below this
STRENGTHS = [(0.98, 1), (0.95, 2)]  # (alpha, exponent of k), the gentler one where neighbours do not agree
AGREEING = 0.9    # mean agreement of neighbours from which on the graph is trusted
SAMPLE = 1000     # images whose neighbours are looked at
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
    return [{"k": scales(n), "alpha": STRENGTHS[0][0]}]


def agreement(ids, diffused, part=slice(None)):
    """Return for each row of ids how alike its images have become, float [m]: 1 when they all went the same way.

    The mean inner product of the first one's diffused signature and the next ones'.

    Args:
      ids: int [m, K], images near each other, nearest first; pads count as the last image.
      diffused: float32 [n, any], what gives its rows, none of zeros; part: the columns of the signatures.
    """
    result = np.ones(len(ids), np.float32)
    if ids.shape[1] > 1:
        for start, stop in features.blocks(len(ids), AGREEMENT * diffused.shape[1]):
            near = diffused[ids[start:stop, :AGREEMENT]][..., part]
            lengths = np.linalg.norm(near, axis=2)
            products = np.einsum("id,ijd->ij", near[:, 0], near[:, 1:])
            result[start:stop] = (products / (lengths[:, :1] * lengths[:, 1:])).mean(axis=1)
    return result


def gallery_agreement(ids, diffused, part=slice(None)):
    """Return the mean agreement of the neighbours of up to SAMPLE images, evenly spread; ids: int [n, K]."""
    rows = np.unique(np.linspace(0, len(ids) - 1, SAMPLE).astype(int))
    return float(agreement(np.asarray(ids[rows]), diffused, part).mean())


def columns(width, d):
    """Return the columns of the two parts of [signature | feature]."""
    return [slice(0, width), slice(width, width + d)]


def combine(diffused, original, parts, residual):
    """Change [signature part | feature part] to normalise([signature part | FEATURE (feature part + residual x)]).

    Args:
      diffused: float32 [n, width + d], each part's rows L2-normalised; overwritten, and returned.
      original: x, float32 [n, d], rows L2-normalised.
      parts: the columns of the two parts.
      residual: weight of what the feature was before, one number or [n]; very large: plain nearest neighbours.
    """
    residual = np.broadcast_to(np.float32(residual), len(diffused))
    for start, stop in features.blocks(*diffused.shape):
        rows = diffused[start:stop]
        rows[:, parts[1]] += residual[start:stop, None] * original[start:stop]
        rows[:, parts[1]] *= np.float32(FEATURE)
        features.normalise_rows(rows)
        memory.release(diffused, original)
    return diffused


class Output:
    """Rows of the diffusion's output, told from what `combine` made of it: a second array of its size is not kept.

    Args:
      combined: float32 [n, width + d], what combine returned; original, parts, residual: what it was given.
    """

    def __init__(self, combined, original, parts, residual):
        self.combined, self.original, self.parts, self.residual = combined, original, parts, np.float32(residual)
        self.shape = combined.shape

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, ids):
        """Return the rows of some ids (of any shape, or a slice), each part L2-normalised, float32 [..., width + d]."""
        rows = np.array(self.combined[ids])
        signature, feature = (rows[..., part] for part in self.parts)
        length = np.linalg.norm(signature, axis=-1, keepdims=True)  # it was 1 before the row was normalised
        signature /= length
        feature /= length * np.float32(FEATURE)
        feature -= self.residual * self.original[ids]
        memory.release(self.combined, self.original)
        feature /= np.maximum(np.linalg.norm(feature, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        return rows


def residual_of_queries(ids, diffused, residual, part=slice(None)):
    """Return the weight of each query's own feature, float32 [q]: residual / agreement^DOUBT.

    A query moves to where its nearest gallery images went. Where these went different ways, at most one is right
    for the query, and the query's own feature is the better guide: one match among images of other things is such a
    case.

    Args:
      ids: int [q, K], each query's gallery neighbours, nearest first.
      diffused, part: as in agreement.
      residual: weight where all agree.
    """
    return np.float32(residual) / np.clip(agreement(ids, diffused, part), 0.1, 1) ** DOUBT


def reasons(chosen, strength, agreed, residual, mean):
    """Return what was chosen and why: a dict of one sentence each, kept in the report.

    Args:
      chosen: the level; strength: the (alpha, exponent) of STRENGTHS that was used; agreed: the agreement at the
        last that was tried; residual, mean: see CFA.
    """
    common = 0.0 if mean is None else float(np.linalg.norm(mean))
    return {"neighbors": "the graphs of k {} added, each divided by k^{}: all k up to 0.75 sqrt(images)".format(
                chosen["k"], strength[1]),
            "strength": "alpha {}: neighbours agree to {:.2f} at {}, where {} is wanted".format(
                strength[0], agreed, STRENGTHS[0][0], AGREEING),
            "levels": "1: a graph built again from its own result repeats its errors",
            "cells": "1: the solver needs no cut",
            "residual": "{}: what the graph cannot tell, the feature still tells".format(residual),
            "centring": "none: the features have little in common" if mean is None else
                        "the mean, of norm {:.2f}, is taken away: all features have it, so it tells nothing".format(
                            common)}
