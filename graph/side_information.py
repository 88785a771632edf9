"""Side information applied to a graph's edges: denoising, pair scores, texts, labels.

The order is fixed, each step sees what the one before left:

    denoising     values are set right for density; it is the only step that needs no information
    pair scores   add, replace or multiply edges
    text          text neighbours join, then every value becomes a mix of itself and the texts' similarity
    labels        wrong ones are set aside, then veto, reweight, add

Denoising comes first because what labels and texts add should count for more than an average edge: denoised last, the
added edges only crowd the others (measured: up to 6 points of mAP less).
"""
from dataclasses import dataclass, field
from typing import Any, List

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import edge_denoising, pair_scores, side_labels, side_text

METHODS = ["cfa"]  # that call `apply`

MODES = {"veto": "edges between different labels are dropped",
         "reweight": "edges are multiplied by a factor: equal, different or unknown labels",
         "add": "each image is joined to its nearest of the same label"}


@dataclass
class Side:
    """What is known about the gallery besides its features, ready to use; side_sources.py reads it.

    Attributes:
      labels: int [n], codes >= 0, -1 unknown; or None.
      modes: what labels do, names in MODES.
      trust: share of the labels to believe, in [0, 1]; None: estimated (see side_labels.estimate_trust).
      add_neighbors: images of the same label that each image is joined to.
      agree, disagree: factors of mode reweight.
      text: vectors [n, m], CSR or array, rows of length 1 or zeros (unknown); or None.
      text_weight: share of the text in the similarity.
      text_neighbors: int [n, k] from side_text.neighbors, which are joined; or None.
      pairs: (a, b, scores) from pair_scores.read; or None.
      pair_mode, pair_scale: see pair_scores.combine.
      denoise: a name in edge_denoising.DENOISERS.
    """
    labels: Any = None
    modes: List[str] = field(default_factory=lambda: ["veto", "add"])
    trust: Any = None
    add_neighbors: int = 10
    agree: float = 2.0
    disagree: float = 0.5
    text: Any = None
    text_weight: float = 0.3
    text_neighbors: Any = None
    pairs: Any = None
    pair_mode: str = "add"
    pair_scale: float = 1.0
    denoise: str = "none"


def check_method(name):
    """Raise InputError when a method does not use side information: it must not be left out in silence."""
    if name not in METHODS:
        raise InputError("method {} takes no side information and no edge features; leave side.* and --edge_features "
                         "out, or choose {}".format(name, ", ".join(METHODS)))


def check(side, n):
    """Raise InputError unless the side information is about n images and its settings are known."""
    for name, rows in (("labels", side.labels), ("text", side.text), ("text_neighbors", side.text_neighbors)):
        if rows is not None and rows.shape[0] != n:
            raise InputError("side.{} is about {} images and the gallery has {}; they must match row by row".format(
                name, rows.shape[0], n))
    for mode in side.modes:
        lookup(MODES, mode, "side.modes value")
    lookup(pair_scores.KINDS, side.pair_mode, "side.pair_mode")
    lookup(edge_denoising.DENOISERS, side.denoise, "side.denoise")


def apply(matrix, side, features):
    """Return (edges with the side information, report).

    Args:
      matrix: edges from edges.edges, symmetric CSR [n, n], zero diagonal. Not changed.
      side: a Side, or None: the edges as they are.
      features: float32 [n, d], rows L2-normalised: the features that the edges come from.

    Returns:
      symmetric float32 CSR [n, n]; and a plain dict with what happened, {} without side information.

    Raises:
      InputError: see `check`.
    """
    if side is None:
        return matrix, {}
    check(side, matrix.shape[0])
    report = {"edges_before": matrix.nnz // 2}
    matrix = edge_denoising.denoise(matrix, side.denoise)
    if side.pairs is not None:
        matrix = pair_scores.combine(matrix, side.pairs, side.pair_mode, side.pair_scale)
        report["edges_after_pair_scores"] = matrix.nnz // 2
    if side.text is not None:
        if side.text_neighbors is not None:
            matrix = side_text.add(matrix, side.text_neighbors, features)
        matrix = side_text.mix(matrix, side.text, side.text_weight)
        report["edges_after_text"] = matrix.nnz // 2
    if side.labels is not None:
        matrix, report["labels"] = _apply_labels(matrix, side, features)
        report["edges_after_labels"] = matrix.nnz // 2
    return matrix, report


def _apply_labels(matrix, side, features):
    """Return (edges, what was believed): wrong labels set aside first, then veto, reweight, add."""
    trust, pairs = side_labels.estimate_trust(matrix, side.labels)
    used = trust if side.trust is None else side.trust
    believed = side_labels.believe(matrix, side.labels, used)
    about = {"known": int(np.sum(side.labels >= 0)), "believed": int(np.sum(believed >= 0)),
             "estimated_trust": trust, "pairs_for_estimate": pairs, "trust": used}
    if "veto" in side.modes:
        matrix = side_labels.veto(matrix, believed)
    if "reweight" in side.modes:
        matrix = side_labels.reweight(matrix, believed, side.agree, side.disagree)
    if "add" in side.modes:
        matrix = side_labels.add(matrix, believed, features, side.add_neighbors)
    return matrix, about


def settings(side):
    """Return the plain settings of a Side, without its arrays, for a record."""
    arrays = ("labels", "text", "text_neighbors", "pairs")
    return {name: value for name, value in vars(side).items() if name not in arrays}
