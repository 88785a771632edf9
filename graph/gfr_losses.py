"""GFR's losses in NumPy, with their gradients: what trains the metric, which needs no TensorFlow.

The equations are in gfr_losses_training.py, which holds the same as TensorFlow graphs, for the networks. Each function
here takes features f [roles x b, r], unit rows, anchors first, then positives, then negatives; `drawn`, a Drawn; the
classifier `head` [r + 1, classes], its last row the bias; and the options. It returns (value, gradient of f, gradient
of head or None).
"""
import collections

import numpy as np

TEMPERATURE = 0.1

# labels: int [roles x b]. valid: float [b], 0 for anchors without a positive.
Drawn = collections.namedtuple("Drawn", "labels valid")


def rank(f, drawn, head, options):
    """T: mean over valid anchors of max(0, margin - a . p + a . n)."""
    a, p, n = np.split(f, 3)
    gap = options.margin - np.einsum("ij,ij->i", a, p) + np.einsum("ij,ij->i", a, n)
    share = drawn.valid * (gap > 0) / max(drawn.valid.sum(), 1)
    weight = share[:, None].astype(f.dtype)
    return float(share @ gap), np.concatenate([weight * (n - p), -weight * a, weight * a]), None


def batch(f, drawn, head, options):
    """B: cross entropy of picking an anchor's own positive among its own and those of other classes."""
    a, p = np.split(f, 2)
    labels = drawn.labels[:len(a)]
    logits = a @ p.T / TEMPERATURE
    logits[(labels[:, None] == labels) & ~np.eye(len(a), dtype=bool)] = -np.inf
    entropy, slope = _entropy(logits, np.arange(len(a)))
    share = drawn.valid / max(drawn.valid.sum(), 1)
    slope *= (share / TEMPERATURE)[:, None].astype(f.dtype)
    return float(share @ entropy), np.concatenate([slope @ p, slope.T @ a]), None


def classes(f, drawn, head, options):
    """Mean cross entropy of the logits ReLU(f) V + b of all rows."""
    positive = np.maximum(f, 0)
    entropy, slope = _entropy(positive @ head[:-1] + head[-1], drawn.labels[:len(f)])
    slope /= len(f)
    return (float(entropy.mean()), (slope @ head[:-1].T) * (f > 0),
            np.concatenate([positive.T @ slope, slope.sum(axis=0, keepdims=True)]))


def class_rank(f, drawn, head, options):
    """omega T + (1 - omega) cross entropy of the anchors."""
    anchors = len(f) // 3
    value, of_anchors, of_head = classes(f[:anchors], drawn, head, options)
    padded = np.zeros_like(f)
    padded[:anchors] = of_anchors
    return _mixed(options.omega, rank(f, drawn, head, options), (value, padded, of_head))


def class_batch(f, drawn, head, options):
    """omega B + (1 - omega) cross entropy of anchors and positives."""
    return _mixed(options.omega, batch(f, drawn, head, options), classes(f, drawn, head, options))


# name -> (loss, how many of anchor, positive, negative a batch holds, whether it classifies)
LOSSES = {"class": (classes, 1, True), "rank": (rank, 3, False), "batch": (batch, 2, False),
          "classRank": (class_rank, 3, True), "classBatch": (class_batch, 2, True)}


def _mixed(omega, first, second):
    return (omega * first[0] + (1 - omega) * second[0], omega * first[1] + (1 - omega) * second[1],
            (1 - omega) * second[2])


def _entropy(logits, target):
    """Return (cross entropy [b], its gradient [b, c]) of picking the column `target` in each row."""
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    slope = np.exp(shifted)
    total = slope.sum(axis=1, keepdims=True)
    slope /= total
    entropy = np.log(total[:, 0]) - shifted[rows, target]
    slope[rows, target] -= 1
    return entropy, slope
