"""The levels of CFA's cascade: defaults and checks."""
from slim_retrieval.common.errors import InputError, lookup


def check_levels(levels, num_images):
    """Return the levels with defaults filled in, k cut to n - 1 and weights of sum 1.

    Raises:
      InputError: no level, an unknown key, another number of weights than of k, weights of sum 0, alpha outside
        [0, 1), or more cells than images.
    """
    defaults = {"k": [30], "weights": [], "alpha": 0.95, "cells": 1}
    checked = []
    for number, given in enumerate([{}] if levels is None else levels):
        where = "cfa.levels.{}".format(number)
        for key in given:
            lookup(defaults, key, where + " key")
        level = dict(defaults, **given)
        weights = list(level["weights"]) or [1.0] * len(level["k"])
        if not level["k"] or min(level["k"]) < 1 or len(weights) != len(level["k"]):
            raise InputError("{}: {} weights for k {}; give each k (at least 1) one weight, or none at all".format(
                where, len(weights), list(level["k"])))
        if min(weights) < 0 or sum(weights) == 0:
            raise InputError("{}.weights: {} must not be negative or all 0".format(where, weights))
        if not 0 <= level["alpha"] < 1:
            raise InputError("{}.alpha: {} is out of range; it must be at least 0 and below 1".format(
                where, level["alpha"]))
        if not 1 <= level["cells"] <= num_images:
            raise InputError("{}.cells: {} cells for a gallery of {} images; choose from 1 to {}".format(
                where, level["cells"], num_images, num_images))
        level["k"] = [max(1, min(int(k), num_images - 1)) for k in level["k"]]
        level["weights"] = [weight / sum(weights) for weight in weights]
        checked.append(level)
    if not checked:
        raise InputError("cfa.levels: expected at least one level, such as [{k: [30], alpha: 0.95}]")
    return checked


def needed_neighbors(levels, num_images):
    """Return how many neighbours of each image the levels use."""
    return max(max(level["k"]) for level in check_levels(levels, num_images))
