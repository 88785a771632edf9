"""Training of GSS's network, in TensorFlow. `GSS.fit` imports this file only when it trains.

A step feeds S x^0, computed once, of the rows that a batch can see: with two layers, the batch and its neighbours.
Its cost is that of the matrix products of those rows, and of the batch_size^2 pairs. The network's equations are in
gss.py, and the same weights give the same features there.
"""
import time
import warnings

import numpy as np
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_layers_training, gfr_training
from slim_retrieval.graph.gss import Layer


def train(propagated, matrix, start, settings):
    """Train the network's weights.

    Args:
      propagated: S x^0, float32 [n, d]; n at least 2.
      matrix: S, float32 CSR [n, n] with a full diagonal.
      start: list of Layer to start from.
      settings: the GSS, whose parameters are read.

    Returns:
      (list of Layer, report dict: beta, steps, first_loss, loss, seconds). The same seed gives the same on a CPU.

    Raises:
      InputError: the loss is no longer finite.
    """
    began, rng = time.perf_counter(), np.random.RandomState([settings.seed, 1])
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gradients of tf.gather are made dense; a batch's rows are few.
        model = _Model(start, settings)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            beta, losses = _steps(session, model, propagated, matrix, settings, rng)
            weights = [Layer(*pair) for pair in session.run([tuple(layer) for layer in model.weights])]
    return weights, {"beta": beta, "steps": settings.steps, "first_loss": losses[0], "loss": losses[-1],
                     "seconds": time.perf_counter() - began}


def expand(matrix, nodes, layers):
    """Return what a batch needs: (nodes to feed, [(own, part of S)] of the second layer and on).

    `own` are the positions of a layer's nodes among those of the layer before, which are all that S joins them to.
    """
    tables = []
    for _ in range(layers - 1):
        rows = matrix[nodes]
        needed = np.unique(rows.indices)  # with the nodes themselves: S has a full diagonal
        part = sparse.csr_matrix((rows.data, np.searchsorted(needed, rows.indices), rows.indptr),
                                 shape=(len(nodes), len(needed))).tocoo()
        tables.insert(0, (np.searchsorted(needed, nodes), part))
        nodes = needed
    return nodes, tables


def network(rows, tables, weights, decay):
    """Return h of a batch, [b, d], as a tensor: gss.apply and the last normalisation; see `expand`."""
    before = tf.matmul(rows, weights[0].W) + weights[0].b
    x = tf.nn.elu(before)
    for (own, part), layer in zip(tables, weights[1:]):
        p = tf.matmul(tf.sparse.sparse_dense_matmul(part, x), layer.W) + layer.b
        x, before = tf.gather(before, own) + decay * tf.nn.elu(p), p
    return gfr_layers_training.normalise(x)


def separation_loss(h, beta):
    """Return the mean of -1/2 (max(0, h_i.h_j) - beta)^2 over i != j."""
    similarity = tf.nn.relu(tf.matmul(h, h, transpose_b=True))
    b = tf.cast(tf.shape(h)[0], tf.float32)
    pairs = 1 - tf.eye(tf.shape(h)[0])
    return -0.5 * tf.reduce_sum(pairs * tf.square(similarity - beta)) / (b * (b - 1))


class _Model:
    """The training graph: placeholders, variables, loss and train op."""

    def __init__(self, start, settings):
        self.rows, self.beta = tf.placeholder(tf.float32, [None, len(start[0].W)]), tf.placeholder(tf.float32, [])
        self.tables = [(tf.placeholder(tf.int32, [None]), tf.sparse_placeholder(tf.float32)) for _ in start[1:]]
        self.weights = [Layer(tf.Variable(W), tf.Variable(b)) for W, b in start]
        self.features = network(self.rows, self.tables, self.weights, settings.decay)
        self.loss = separation_loss(self.features, self.beta)
        self.step = gfr_training.minimise(self.loss, settings.learning_rate, settings.weight_decay)

    def feed(self, propagated, matrix, nodes):
        """Return the feed of a batch, without beta."""
        needed, tables = expand(matrix, nodes, len(self.weights))
        feed = {self.rows: propagated[needed]}
        for (own, part), (own_value, value) in zip(self.tables, tables):
            feed[own] = own_value
            feed[part] = (np.stack([value.row, value.col], axis=1).astype(np.int64), value.data, value.shape)
        return feed


def _steps(session, model, propagated, matrix, settings, rng):
    """Run all steps; return (beta, their losses)."""
    n, beta, losses = len(propagated), None, []
    size = min(settings.batch_size, n)
    with progress(range(settings.steps), what="training GSS", unit="step") as bar:
        for step in bar:
            if step == 0 or size < n:
                nodes = np.arange(n) if size == n else np.sort(rng.choice(n, size, replace=False))
                feed = model.feed(propagated, matrix, nodes)
            if step == 0:
                beta = _percentile(session.run(model.features, feed), settings.beta_percentile)
            feed[model.beta] = beta
            _, loss = session.run([model.step, model.loss], feed)
            if not np.isfinite(loss):
                raise InputError("GSS's loss became {} in step {} of {} with learning rate {}; use a lower one".format(
                    loss, step + 1, settings.steps, settings.learning_rate))
            losses.append(float(loss))
            bar.set_postfix(loss="{:.5f}".format(loss), refresh=False)
    return beta, losses


def _percentile(h, percent):
    """Return the percentile of all pairs' similarities among h; 0 for one below, which would draw all together."""
    return max(0.0, float(np.percentile((h @ h.T)[np.triu_indices(len(h), 1)], percent)))
