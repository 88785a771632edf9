"""Training of GFR's weights, in TensorFlow. `GFR.learn` imports this file only when it is called.

Losses, with f the feature (unit rows), logits = ReLU(f) V + b:

    class       mean cross entropy of the anchors' logits
    classRank   omega T + (1 - omega) class, T = mean of max(0, margin - f_a . f_p + f_a . f_n)
                (for unit rows, half the difference of squared distances)
    classBatch  omega B + (1 - omega) cross entropy over anchors and positives, where B is the cross entropy of
                picking an anchor's own positive among the batch's positives by f_a . f_p / TEMPERATURE;
                other positives of the anchor's class are left out. The publication's words, "batch of anchors
                and positives", leave the formula open; this one is our reading.

What a step feeds and costs: gfr_batches.py.
"""
import time
import warnings

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_batches, gfr_layer

TEMPERATURE = 0.1
FACTORS = [1.0, 0.5, 0.1]


def train(features, near, labels, options, seed):
    """Train GFR's weights.

    Args:
      features: [n, d], unit rows; may be memory-mapped, only a batch's rows are read.
      near: int [n, k], neighbours of each row in `features`; -1 pads.
      labels: int [n], 0 to classes - 1.
      options: GFRConfig.
      seed: int; the same seed gives the same weights on a CPU.

    Returns:
      (list of gfr_layer.Layer, report dict: loss and train_accuracy over the last epoch, epochs, seconds).
    """
    began, sampler = time.perf_counter(), gfr_batches.Sampler(labels, seed)
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        model = _Model(features.shape[1], sampler.classes, options, seed)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            loss, accuracy = _epochs(session, model, sampler, features, near, options)
            weights = [gfr_layer.Layer(*pair) for pair in session.run([tuple(pair) for pair in model.weights])]
    return weights, {"loss": loss, "train_accuracy": accuracy, "epochs": int(options.epochs),
                     "seconds": time.perf_counter() - began}


def learning_rate(epoch, options):
    """Return the rate of the `epoch`-th epoch (from 0): 1, 0.5, 0.1 of the start, changing at the milestones."""
    # 39 / 70 * 70 may come out a little above 39.
    passed = sum(epoch >= share * options.epochs - 1e-6 for share in options.milestones)
    return options.learning_rate * FACTORS[passed]


def forward(rows, tables, weights, options):
    """Return the features of a batch's anchors, [b, width of the feature], as a tensor; see gfr_batches.expand."""
    pieces = [rows]
    for (own, member), (P, W) in zip(tables, weights):
        x = tf.nn.relu(pieces[-1]) if options.activate and len(pieces) > 1 else pieces[-1]
        h = layer(x, own, member, P, W, options)
        pieces = [tf.gather(piece, own) for piece in pieces] + [h]
    return normalise(tf.concat(pieces, axis=1)) if options.combine else pieces[-1]


def layer(rows, own, member, P, W, options):
    """Return h [b, d] of the nodes `own`: gfr_layer.layer as a tensor."""
    x, there = tf.gather(rows, own), tf.expand_dims(member >= 0, 2)
    at = tf.maximum(member, 0)
    value = tf.gather(tf.matmul(rows, P), at)                                          # [b, 1 + k, d]
    if options.weighted:
        similarity = tf.reduce_sum(x[:, None] * tf.gather(rows, at), 2, keepdims=True)  # [b, 1 + k, 1]
        value *= tf.nn.softmax(tf.where(there, similarity, tf.fill(tf.shape(similarity), -1e30)), axis=1)
    there = tf.cast(there, tf.float32)
    if options.aggregate == "max":
        z = tf.reduce_max(value * there + (there - 1) * 1e30, axis=1)
    else:
        z = tf.reduce_sum(value * there, axis=1) / tf.reduce_sum(there, axis=1)
    h = normalise(tf.matmul(tf.concat([x, z], axis=1) if options.concate else z, W))
    return normalise(x + h) if options.residue else h


def normalise(x):
    """Return `x` with rows of unit length; zero rows stay zero and get no gradient, rather than a huge one."""
    squared = tf.reduce_sum(tf.square(x), axis=1, keepdims=True)
    inverse = tf.rsqrt(tf.maximum(squared, gfr_layer.TINY))
    return x * tf.where(squared > gfr_layer.TINY, inverse, tf.zeros_like(inverse))


def rank_loss(anchors, positives, negatives, valid, margin):
    """Return the mean over `valid` (0 or 1, [b]) of max(0, margin - a . p + a . n); 0 where none is valid."""
    gap = tf.reduce_sum(anchors * negatives, axis=1) - tf.reduce_sum(anchors * positives, axis=1)
    return tf.reduce_sum(valid * tf.nn.relu(margin + gap)) / tf.maximum(tf.reduce_sum(valid), 1)


def batch_loss(anchors, positives, labels, valid):
    """Return the mean over `valid` of the cross entropy of an anchor's own positive among those of other classes."""
    similarity = tf.matmul(anchors, positives, transpose_b=True) / TEMPERATURE
    other = tf.cast(tf.not_equal(labels[:, None], labels[None, :]), tf.float32)
    kept = tf.maximum(other, tf.eye(tf.shape(labels)[0]))
    similarity = similarity * kept + (kept - 1) * 1e30
    loss = tf.reduce_logsumexp(similarity, axis=1) - tf.linalg.diag_part(similarity)
    return tf.reduce_sum(valid * loss) / tf.maximum(tf.reduce_sum(valid), 1)


def _loss_class(model, options):
    return model.entropy(slice(None))


def _loss_class_rank(model, options):
    anchors, positives, negatives = tf.split(model.features, 3)
    rank = rank_loss(anchors, positives, negatives, model.valid, options.margin)
    return options.omega * rank + (1 - options.omega) * model.entropy(slice(0, tf.shape(anchors)[0]))


def _loss_class_batch(model, options):
    anchors, positives = tf.split(model.features, 2)
    labels = tf.split(model.labels, 2)[0]
    return (options.omega * batch_loss(anchors, positives, labels, model.valid)
            + (1 - options.omega) * model.entropy(slice(None)))


# name -> (loss, how many of anchor, positive, negative a batch holds)
LOSSES = {"class": (_loss_class, 1), "classRank": (_loss_class_rank, 3), "classBatch": (_loss_class_batch, 2)}


class _Model:
    """The training graph: placeholders, variables, loss and train op."""

    def __init__(self, width, classes, options, seed):
        loss, self.roles = lookup(LOSSES, options.loss, "loss of GFR")
        self.rows = tf.placeholder(tf.float32, [None, width])
        self.tables = [(tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None, None]))
                       for _ in range(options.layers)]
        self.labels, self.valid = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [None])
        self.rate = tf.placeholder(tf.float32, [])
        self.weights = [gfr_layer.Layer(tf.Variable(P), tf.Variable(W)) for P, W in gfr_layer.initial(
            width, options.layers, options.concate, seed)]
        self.features = forward(self.rows, self.tables, self.weights, options)
        self.logits = self._classify(classes, width * (options.layers + 1 if options.combine else 1), seed)
        self.loss = loss(self, options)
        self.correct = tf.reduce_mean(tf.cast(tf.equal(
            tf.argmax(self.logits, axis=1, output_type=tf.int32), self.labels), tf.float32))
        self.step = minimise(self.loss, self.rate, options.weight_decay)

    def _classify(self, classes, width, seed):
        bound = width ** -0.5  # PyTorch's Linear
        start = np.random.RandomState([seed, 1]).uniform(-bound, bound, (width + 1, classes)).astype(np.float32)
        return tf.matmul(tf.nn.relu(self.features), tf.Variable(start[:-1])) + tf.Variable(start[-1])

    def entropy(self, part):
        """Return the mean cross entropy over a slice of the batch."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=self.labels[part], logits=self.logits[part]))


def minimise(loss, rate, weight_decay):
    """Return Adam's train op over all variables, `weight_decay` times the weight added to each gradient.

    That is PyTorch's Adam(weight_decay=...): decay passes through Adam's scaling; it is not AdamW's.
    """
    variables = tf.trainable_variables()
    with warnings.catch_warnings():  # Gradients of tf.gather are made dense; a batch's rows are few.
        warnings.simplefilter("ignore")
        gradients = tf.gradients(loss, variables)
    decayed = [gradient + weight_decay * variable for gradient, variable in zip(gradients, variables)]
    # tf.tuple waits for all gradients: else W may be updated while the gradient of P is still reading it.
    return tf.train.AdamOptimizer(rate, epsilon=1e-8).apply_gradients(zip(tf.tuple(decayed), variables))


def _epochs(session, model, sampler, features, near, options):
    """Run all epochs; return (mean loss, train accuracy) of the last one."""
    n, size = len(features), int(options.batch_size)
    steps = -(-n // size)
    with progress(total=steps * options.epochs, what="training GFR", unit="step") as bar:
        for epoch in range(options.epochs):
            ids, valid = sampler.epoch(epoch, model.roles)
            rate, sums = learning_rate(epoch, options), np.zeros(2)
            for first in range(0, n, size):
                batch = slice(first, first + size)
                _, loss, correct = session.run(
                    [model.step, model.loss, model.correct],
                    _feed(model, features, near, sampler.labels, ids[:, batch], valid[batch], rate, options))
                if not np.isfinite(loss):
                    raise InputError("GFR's loss became {} in epoch {} of {} with learning rate {}; use a lower "
                                     "one".format(loss, epoch + 1, options.epochs, options.learning_rate))
                sums += np.array([loss, correct]) * len(valid[batch])
                bar.set_postfix(loss="{:.4f}".format(loss), refresh=False)
                bar.update()
    return tuple(float(value) for value in sums / n)


def _feed(model, features, near, labels, ids, valid, rate, options):
    needed, tables = gfr_batches.expand(ids.ravel(), near, options.layers, options.concate)
    feed = {model.rows: np.asarray(features[needed], np.float32), model.labels: labels[ids.ravel()],
            model.valid: valid, model.rate: rate}
    for (own, member), (own_value, member_value) in zip(model.tables, tables):
        feed.update({own: own_value, member: member_value})
    return feed
