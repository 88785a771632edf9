"""Training of GFR's metric by gradient descent on a ranking loss, in NumPy: a linear map is little work.

    h = normalise((x - mean) M);   M (and a classifier, where the loss has one) by Adam, weight decay in the gradient
"""
import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import gfr_batches, gfr_layer, gfr_losses, gfr_metric

STEPS = 100  # in an epoch, at most: a linear map has seen enough by then


def refine(features, labels, rows, metric, options, epochs, seed):
    """Train a metric further by a loss on its features; the mean stays.

    Args:
      features: [n, d]; may be memory-mapped, only a batch's rows are read.
      labels: int [n].
      rows: int [m], the rows that are learned from.
      metric: gfr_metric.Metric to start from.
      options: GFRConfig: loss, batch_size, learning_rate, weight_decay, margin, omega.
      epochs: passes over the rows, each of STEPS batches at most, at one rate. 0: nothing is trained.
      seed: int.

    Returns:
      List of epochs + 1 Metric: the start, and what each epoch has made of it.
    """
    found, size = [metric], int(options.batch_size)
    loss, roles, classifies = lookup(gfr_losses.LOSSES, options.loss, "loss of GFR")
    sampler = gfr_batches.Sampler(np.unique(labels[rows], return_inverse=True)[1], seed)
    matrix = metric.matrix.copy()
    head = first_head(matrix.shape[1], sampler.classes, seed) if classifies else None
    adam = Adam([matrix] if head is None else [matrix, head], options)
    for epoch in progress(range(epochs), what="training GFR's metric", unit="epoch") if epochs else ():
        ids, valid = sampler.epoch(epoch, roles)
        for first in range(0, min(len(rows), STEPS * size), size):
            part = slice(first, first + size)
            drawn = ids[:, part].ravel()
            x = np.asarray(features[rows[drawn]], np.float32) - metric.mean
            value, slopes = gradients(x, matrix, head, loss, gfr_losses.Drawn(sampler.labels[drawn], valid[part]),
                                      options)
            check_loss(value, epoch, epochs, options)
            adam.step(slopes)
        found.append(gfr_metric.Metric(metric.mean, matrix.copy()))
    return found


def gradients(x, matrix, head, loss, drawn, options):
    """Return (loss, [gradient of the matrix, of the head where there is one]) for centred rows x [roles x b, d]."""
    u = x @ matrix
    squared = np.einsum("ij,ij->i", u, u)
    inverse = np.where(squared > gfr_layer.TINY, 1 / np.sqrt(np.maximum(squared, gfr_layer.TINY)), 0)
    inverse = inverse[:, None].astype(x.dtype)
    h = u * inverse
    value, slope, of_head = loss(h, drawn, head, options)
    slope = inverse * (slope - h * np.einsum("ij,ij->i", slope, h)[:, None])  # through normalise
    return value, [x.T @ slope] + ([] if of_head is None else [of_head])


def first_head(width, classes, seed):
    """Return the untrained classifier, float32 [width + 1, classes], the bias last: as PyTorch's Linear draws it."""
    bound = width ** -0.5
    return np.random.RandomState([seed, 1]).uniform(-bound, bound, (width + 1, classes)).astype(np.float32)


def check_loss(loss, epoch, epochs, options):
    """Raise InputError unless the loss is a number."""
    if not np.isfinite(loss):
        raise InputError("GFR's loss became {} in epoch {} of {} with learning rate {}; use a lower one".format(
            loss, epoch + 1, epochs, options.learning_rate))


class Adam:
    """Adam (Kingma and Ba, ICLR 2015) on float32 arrays, which are changed in place.

    weight_decay times the weight is added to each gradient, as in PyTorch's Adam(weight_decay=...).
    """

    def __init__(self, weights, options):
        self.weights, self.rate, self.decay, self.steps = weights, options.learning_rate, options.weight_decay, 0
        self.means = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]

    def step(self, slopes):
        """Take one step against the gradients `slopes`."""
        self.steps += 1
        rate = np.float32(self.rate * np.sqrt(1 - 0.999 ** self.steps) / (1 - 0.9 ** self.steps))
        for weight, slope, (first, second) in zip(self.weights, slopes, self.means):
            slope = slope + np.float32(self.decay) * weight
            first += np.float32(0.1) * (slope - first)
            second += np.float32(0.001) * (slope * slope - second)
            weight -= rate * first / (np.sqrt(second) + np.float32(1e-8))
