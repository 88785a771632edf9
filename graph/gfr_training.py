"""Training of GFR's networks, in TensorFlow. `GFR.learn` imports this file only when it is called.

Losses: gfr_losses_training.py. Layers: gfr_layers_training.py. What a step feeds and costs: gfr_batches.py.
"""
import dataclasses
import time
import warnings

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import lookup
from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_batches, gfr_layers, gfr_metric_descent, gfr_resume
from slim_retrieval.graph.gfr_layers_training import forward
from slim_retrieval.graph.gfr_losses_training import LOSSES

FACTORS = [1.0, 0.5, 0.1]


def train(features, near, labels, options, seed, resume=None):
    """Train a network's weights.

    Args:
      features: [n, d], unit rows; may be memory-mapped, only a batch's rows are read.
      near: int [n, k], neighbours of each row in `features`; -1 pads.
      labels: int [n], 0 to classes - 1; None for the loss unsupervised.
      options: GFRConfig, resolved.
      seed: int; the same seed gives the same weights on a CPU.
      resume: file to write after each epoch and to go on from, or None. Deleted at the end.

    Returns:
      ([{name: float32 array}], report dict: loss over the last epoch, train_accuracy where the loss classifies, epochs,
      seconds, those before a stop included, and seconds_before, those).
    """
    began = time.perf_counter()
    sampler = gfr_batches.Pairs(near, seed) if labels is None else gfr_batches.Sampler(labels, seed)
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        model = _Network(features.shape[1], sampler.classes, options, seed)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            feeder = _Feeder(model, features, near, sampler.labels, options, seed)
            store = _Store(resume, session, began, files.digest(
                dataclasses.asdict(options), seed, list(features.shape), near, np.asarray(sampler.labels)))
            report = _epochs(session, model, sampler, feeder, options, store)
            weights = session.run(model.weights)
    if resume:
        files.remove(resume)
    before = store.seconds_before
    return weights, dict(report, loss_name=options.loss, epochs=int(options.epochs), seconds_before=before,
                         seconds=time.perf_counter() - began + before)


def learning_rate(epoch, options):
    """Return the rate of the `epoch`-th epoch (from 0): 1, 0.5, 0.1 of the start, changing at the milestones."""
    # 39 / 70 * 70 may come out a little above 39.
    passed = sum(epoch >= share * options.epochs - 1e-6 for share in options.milestones)
    return options.learning_rate * FACTORS[passed]


class Model:
    """Placeholders, the loss on features that are made of `rows`, and its train op."""

    def __init__(self, width):
        self.rows = tf.placeholder(tf.float32, [None, width])
        self.labels, self.valid = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [None])
        self.rate = tf.placeholder(tf.float32, [])

    def finish(self, features, classes, options, seed):
        loss, self.roles, classifies = lookup(LOSSES, options.loss, "loss of GFR")
        self.features = features
        self.logits = self._classify(classes, int(features.shape[1]), seed) if classifies else None
        self.loss = loss(self, options)
        self.correct = tf.zeros([]) if not classifies else tf.reduce_mean(tf.cast(tf.equal(
            tf.argmax(self.logits, axis=1, output_type=tf.int32), self.labels), tf.float32))
        self.step = minimise(self.loss, self.rate, options.weight_decay)

    def _classify(self, classes, width, seed):
        start = gfr_metric_descent.first_head(width, classes, seed)
        return tf.matmul(tf.nn.relu(self.features), tf.Variable(start[:-1])) + tf.Variable(start[-1])

    def entropy(self, part):
        """Return the mean cross entropy over a slice of the batch."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=self.labels[part], logits=self.logits[part]))


class _Network(Model):
    def __init__(self, width, classes, options, seed):
        super().__init__(width)
        self.tables = [(tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None, None]))
                       for _ in range(options.layers)]
        self.weights = [{name: tf.Variable(value) for name, value in layer.items()}
                        for layer in gfr_layers.initial(width, options, seed)]
        pieces = options.layers + 1 if options.combine or options.jump == "concat" else 1
        features = forward(self.rows, self.tables, self.weights, options)
        self.finish(tf.ensure_shape(features, [None, width * pieces]), classes, options, seed)


class _Feeder:
    """Makes what a step of a network is fed."""

    def __init__(self, model, features, near, labels, options, seed):
        self.model, self.features, self.near, self.labels = model, features, near, labels
        self.options, self.seed = options, seed

    def start(self, epoch):
        """Draw the neighbours that are left out anew."""
        self.thin = gfr_batches.thinner(self.options, np.random.RandomState([self.seed, 4, epoch]))

    def feed(self, ids, valid, rate):
        """Return the feed of a batch with the anchors, positives, negatives `ids`, int [roles, b]."""
        needed, tables = gfr_batches.expand(ids.ravel(), self.near, self.options.layers, self.options.concate,
                                            self.thin)
        feed = {self.model.rows: np.asarray(self.features[needed], np.float32), self.model.valid: valid,
                self.model.labels: self.labels[ids.ravel()], self.model.rate: rate}
        for (own, member), (own_value, member_value) in zip(self.model.tables, tables):
            feed.update({own: own_value, member: member_value})
        return feed


class _Store:
    """Keeps all variables, Adam's slots among them, after each epoch, where there is a file for them."""

    def __init__(self, path, session, began, key):
        self.path, self.session, self.began, self.key = path, session, began, key
        self.done, self.report, self.seconds_before = 0, {}, 0.0
        state = gfr_resume.read(path, key)
        if state is not None:
            for variable, value in zip(tf.global_variables(), state.values):
                variable.load(value, session)
            self.done, self.report, self.seconds_before = state.epoch, state.report, state.seconds
            print("  going on after epoch {} of a training that was stopped".format(self.done), flush=True)

    def keep(self, done, report):
        """Write the state after `done` epochs."""
        self.done, self.report = done, report
        if self.path:
            gfr_resume.write(self.path, self.key, gfr_resume.State(
                done, self.session.run(tf.global_variables()), report,
                time.perf_counter() - self.began + self.seconds_before))


def minimise(loss, rate, weight_decay):
    """Return Adam's train op over all variables, `weight_decay` times the weight added to each gradient.

    That is PyTorch's Adam(weight_decay=...): decay passes through Adam's scaling; it is not AdamW's.
    """
    variables = tf.trainable_variables()
    with warnings.catch_warnings():  # Gradients of tf.gather are made dense; a batch's rows are few.
        warnings.simplefilter("ignore")
        gradients = tf.gradients(loss, variables)
    pairs = [(gradient, variable) for gradient, variable in zip(gradients, variables) if gradient is not None]
    decayed = [gradient + weight_decay * variable for gradient, variable in pairs]
    # tf.tuple waits for all gradients: else W may be updated while the gradient of P is still reading it.
    return tf.train.AdamOptimizer(rate, epsilon=1e-8).apply_gradients(zip(tf.tuple(decayed), [v for _, v in pairs]))


def _epochs(session, model, sampler, feeder, options, store):
    """Run the epochs that are not done yet; return the report of the last one."""
    n, size = len(sampler.labels), int(options.batch_size)
    steps = -(-n // size)
    with progress(total=steps * options.epochs, what="training GFR", unit="step", initial=steps * store.done) as bar:
        for epoch in range(store.done, options.epochs):
            ids, valid = sampler.epoch(epoch, model.roles)
            rate, sums = learning_rate(epoch, options), np.zeros(2)
            feeder.start(epoch)
            for first in range(0, n, size):
                batch = slice(first, first + size)
                _, loss, correct = session.run([model.step, model.loss, model.correct],
                                               feeder.feed(ids[:, batch], valid[batch], rate))
                gfr_metric_descent.check_loss(loss, epoch, options.epochs, options)
                sums += np.array([loss, correct]) * len(valid[batch])
                bar.set_postfix(loss="{:.4f}".format(loss), refresh=False)
                bar.update()
            loss, accuracy = (float(value) for value in sums / n)
            store.keep(epoch + 1, dict({"loss": loss}, **({} if model.logits is None else
                                                          {"train_accuracy": accuracy})))
    return store.report

