"""Method "gss": a graph convolutional network over the gallery's neighbours, trained without labels.

Training needs TensorFlow (gss_training.py, imported when `fit` trains); applying the network needs NumPy.
"""
from typing import NamedTuple

import numpy as np
from scipy import sparse

from slim_retrieval.graph import affinity, features, knn, query_expansion
from slim_retrieval.graph.edges import edges


class Layer(NamedTuple):
    """Weights of one layer: W [d, d] and b [d], float32."""

    W: np.ndarray
    b: np.ndarray


class GSS:
    """Guided similarity separation: features pass through a GCN that pushes similarities away from a threshold.

    Liu, Yu, Chang, Rai, Ma, Gorti and Volkovs, "Guided Similarity Separation for Image Retrieval", NeurIPS 2019, as the
    authors' code has it. With x^0 the features and A_ij = max(0, x_i.x_j) where either is among the other's k nearest:

        S = D^-1/2 (A + I) D^-1/2,      p^l = S x^(l-1) W_l + b_l                       (D: row sums of A + I)
        x^1 = elu(p^1),                 x^l = p^(l-1) + decay elu(p^l) for l > 1
        loss = mean over pairs of -1/2 (max(0, h_i.h_j) - beta)^2,      h = normalise(x^L)

    so pairs more similar than beta are drawn together and the others apart. beta is a percentile of the similarities
    h_i.h_j before training. W starts as the identity and noise of size epsilon. A query is joined to its nearest
    gallery images, and nothing to it: it does not change the gallery. The model is fitted to this one gallery.

    What differs from the authors' code: a step takes `batch_size` images and the pairs among them rather than all n^2
    pairs (the same where the gallery is no larger), beta is taken from one batch's pairs, an image and itself are no
    pair, and the last step's weights are used rather than those that did best on the test.

    The defaults are those published for Oxford5k; Paris6k takes query_neighbors 15, INSTRE k 9, query_neighbors 10 and
    500 steps. beta_percentile 98 takes 2% of all pairs for matches, which suits classes of up to about n / 50 images.
    A larger learning_rate, or a beta near 0, can draw all images together, and the loss, which is then lowest, does not
    tell: choose both on validation data.

    Args:
      k: neighbours of a gallery image besides itself. The published 5 counts it.
      query_neighbors: gallery images that a query is joined to.
      layers: L.
      decay: weight of a layer beside the one before.
      beta_percentile: percentile of the similarities that gives beta.
      steps: of Adam; 0 leaves the weights as they start, and needs no TensorFlow.
      batch_size: images in a step, whose pairs make up the loss.
      learning_rate: Adam's.
      weight_decay: L2 penalty on the weights, in the gradient.
      epsilon: standard deviation of the noise that the weights start with.
      seed: of that noise and of the batches.

    Attributes (after fit):
      gallery_: float32 [n, d], unit rows.
      weights_: list of Layer.
      report_: k, and from training beta, steps, first_loss, loss, seconds.

    Memory, beside the gallery: layers + 1 arrays [n, d], of which queries need layers; the graph.
    """

    def __init__(self, k=4, query_neighbors=5, layers=2, decay=0.3, beta_percentile=98.0, steps=200, batch_size=1024,
                 learning_rate=1e-4, weight_decay=1e-5, epsilon=1e-5, seed=0):
        self.k = k
        self.query_neighbors = query_neighbors
        self.layers = layers
        self.decay = decay
        self.beta_percentile = beta_percentile
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epsilon = epsilon
        self.seed = seed

    def needed_neighbors(self, n):
        """Return how many neighbours of each of n images the graph joins."""
        return min(self.k, n - 1)

    def fit(self, gallery, neighbors=None, labels=None):
        """Train the network on the gallery and compute `gallery_`; return self.

        Args:
          gallery: float32 [n, d], rows L2-normalised; may be memory-mapped; not changed.
          neighbors: (ids, similarities) of the gallery as from knn.neighbors; None or too few: searched.
          labels: not used; the method is unsupervised.

        Raises:
          InputError: a gallery that cannot be used, no TensorFlow, a loss that diverges.
        """
        self.original_ = features.check_features(gallery, "gallery")
        k = self.needed_neighbors(len(gallery))
        ids, similarities = knn.enough(neighbors, self.original_, k)
        joined = affinity.affinity(edges(ids, similarities, k, "knn"), 1.0)
        self._degrees = 1 + np.asarray(joined.sum(axis=1, dtype=np.float64)).ravel()
        matrix = affinity.normalised(joined + sparse.identity(len(gallery), np.float32, format="csr"))
        propagated = propagate(matrix, self.original_)
        self.weights_ = initial(gallery.shape[1], self.layers, self.epsilon, self.seed)
        self.report_ = {"k": k}
        if self.steps > 0 and len(gallery) > 1:
            from slim_retrieval.graph import gss_training  # TensorFlow: only who trains needs it.
            self.weights_, report = gss_training.train(propagated, matrix, self.weights_, self)
            self.report_.update(report)
        self._inputs = forward(self.original_, propagated, matrix, self.weights_, self.decay)
        self.gallery_ = features.normalise_rows(self._inputs.pop())
        return self

    def transform(self, queries):
        """Return the features of queries that are not in the gallery, float32 [q, d], unit rows.

        Raises:
          InputError: the queries cannot be used, or are not as wide as the gallery.
        """
        queries = features.check_features(queries, "query")
        features.check_same_width(queries, self.original_)
        ids, similarities = knn.search(queries, self.original_, min(self.query_neighbors, len(self.original_)))
        weights = affinity.weights(similarities, 1.0).astype(np.float64)
        degrees = 1 + weights.sum(axis=1, keepdims=True)
        weights = (weights / np.sqrt(degrees * self._degrees[ids])).astype(np.float32)
        own, x, before = (1 / degrees).astype(np.float32), queries, None
        for level, layer in zip(self._inputs, self.weights_):
            propagated = query_expansion.weighted_sum(level, ids, weights) + own * x
            x, before = apply(layer, propagated, before, self.decay)
        return features.normalise_rows(x)


def initial(width, layers, epsilon, seed):
    """Return the layers to start from: the identity, with noise of size epsilon off its diagonal, and b = 0."""
    rng, result = np.random.RandomState(seed), []
    for _ in range(layers):
        W = (epsilon * rng.randn(width, width)).astype(np.float32)
        np.fill_diagonal(W, 1)
        result.append(Layer(W, np.zeros(width, np.float32)))
    return result


def apply(layer, propagated, before, decay):
    """Return (x^l, p^l) from S x^(l-1) and p^(l-1), which is None for the first layer; new float32 [m, d]."""
    p = propagated @ layer.W + layer.b
    x = np.where(p > 0, p, np.expm1(np.minimum(p, 0)))
    return (x if before is None else before + np.float32(decay) * x), p


def propagate(matrix, x):
    """Return S x as a new float32 [n, d], in blocks of rows; x may be memory-mapped."""
    result = np.empty(x.shape, np.float32)
    for start, stop in features.blocks(*x.shape):
        rows = matrix[start:stop]
        needed = np.unique(rows.indices)
        part = sparse.csr_matrix((rows.data, np.searchsorted(needed, rows.indices), rows.indptr),
                                 shape=(stop - start, len(needed)))
        result[start:stop] = part @ np.asarray(x[needed])
    return result


def forward(x, propagated, matrix, weights, decay):
    """Return [x^0, x^1, ..., x^L] of all nodes, each float32 [n, d]; `propagated` is S x^0 and is used up."""
    levels, before = [x], None
    for number, layer in enumerate(weights):
        if number > 0:
            propagated = propagate(matrix, levels[-1])
        level = np.empty(x.shape, np.float32)
        for start, stop in features.blocks(*x.shape):
            part = slice(start, stop)
            # p^l replaces S x^(l-1), which is not needed again.
            level[part], propagated[part] = apply(layer, propagated[part], None if before is None else before[part],
                                                  decay)
        levels.append(level)
        before = propagated
    return levels
