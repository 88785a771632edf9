"""The edge network of GFR: the probability that two neighbours show the same thing, from gfr_edge_features.

Logistic regression. Small networks and boosted trees were tried: a few hundredths more on the train classes, no better
on others. With some twenty weights a few hundred labelled pairs are enough.
"""
import collections

import numpy as np
from scipy.special import expit

Scorer = collections.namedtuple("Scorer", "weight bias")  # float64 [f], []

RIDGE = 1e-3  # per pair, on standardised features; several of them say nearly the same
STEPS = 50


def fit(rows, positive):
    """Return the Scorer that minimises cross entropy + RIDGE |w|^2 / 2, w on standardised features.

    Args:
      rows: float [p, f], the pairs' features.
      positive: bool [p].
    """
    mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 1e-9, deviation, 1)
    inputs = np.concatenate([(rows - mean) / scale, np.ones((len(rows), 1))], axis=1)
    penalty = RIDGE * np.append(np.ones(len(mean)), 1e-6)  # the bias next to none: all may be positive
    weight = np.zeros(len(penalty))
    for _ in range(STEPS):  # Newton's method; the loss is convex
        found = expit(inputs @ weight)
        slope = inputs.T @ (found - positive) / len(rows) + penalty * weight
        curvature = (inputs * (found * (1 - found))[:, None]).T @ inputs / len(rows) + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        step *= min(1, 5 / max(np.abs(step).max(), 1e-12))  # far from the end a whole step may overshoot
        weight -= step
        if np.abs(step).max() < 1e-8:
            break
    return Scorer(weight[:-1] / scale, float(weight[-1] - np.sum(weight[:-1] * mean / scale)))


def probability(scorer, rows):
    """Return the probabilities [...] of pairs' features [..., f]."""
    return expit(rows @ scorer.weight + scorer.bias)
