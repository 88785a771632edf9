"""What CFA does when no levels are given: settings that need no labels, and the reasons for them.

One number of neighbours suits no two galleries: the best runs from 3 where classes have ten images to 50 and more where
they have hundreds, and nothing in the graph says which classes a user means. So nothing is bet on one: the solutions
of many scales are averaged, which costs about as much as the largest alone and comes within a point of the best
single one. What is diffused are node signatures (signatures.py) rather than features, and the feature itself stays
beside the result. See docs/study.md for the measurements.
"""
import numpy as np

SCALES = [3, 5, 8, 12, 20, 30, 50]
SMALLEST_LARGEST = 12  # the largest scale is never cut below this
ALPHA = 0.9
TOLERANCE = 1e-2  # of the solver: rankings do not change below


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


def reasons(chosen, n, residual):
    """Return what was chosen for n images and why: a dict of one sentence each, kept in the report."""
    return {"neighbors": "scales {} averaged: all up to 0.75 sqrt({} images)".format(chosen[0]["k"], n),
            "strength": "alpha {}: once scales are averaged, .8 to .95 hardly differ".format(chosen[0]["alpha"]),
            "levels": "1: a graph built again from its own result repeats its errors",
            "cells": "1: the solver needs no cut",
            "residual": "{}: what the graph cannot tell, the feature still tells".format(residual)}
