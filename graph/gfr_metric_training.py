"""Training of GFR's metric by a ranking loss, in TensorFlow. It is imported only when it is called for."""
import numpy as np

from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_batches, gfr_metric
from slim_retrieval.graph.gfr_layers_training import normalise
from slim_retrieval.graph.gfr_training import Model, check_loss

STEPS = 100  # in an epoch, at most: a linear map has seen enough by then


def refine(features, labels, rows, metric, options, epochs, seed):
    """Train a metric further by a ranking loss on its features, h = normalise((x - mean) M); the mean stays.

    Args:
      features: [n, d]; may be memory-mapped, only a batch's rows are read.
      labels: int [n].
      rows: int [m], the rows that are learned from.
      metric: gfr_metric.Metric to start from.
      options: GFRConfig: loss, batch_size, learning_rate, weight_decay, margin.
      epochs: passes over the rows, each of STEPS batches at most, at one rate. 0: nothing is trained.
      seed: int.

    Returns:
      List of epochs + 1 Metric: the start, and what each epoch has made of it.
    """
    found = [metric]
    if epochs == 0:
        return found
    sampler = gfr_batches.Sampler(np.unique(labels[rows], return_inverse=True)[1], seed)
    size = int(options.batch_size)
    with tf.Graph().as_default():
        tf.set_random_seed(seed)
        model = _Linear(metric, sampler.classes, options, seed)
        with tf.Session() as session, progress(total=epochs, what="training GFR's metric", unit="epoch") as bar:
            session.run(tf.global_variables_initializer())
            for epoch in range(epochs):
                ids, valid = sampler.epoch(epoch, model.roles)
                for first in range(0, min(len(rows), STEPS * size), size):
                    drawn = ids[:, first:first + size].ravel()
                    loss = session.run([model.step, model.loss], {
                        model.rows: np.asarray(features[rows[drawn]], np.float32), model.rate: options.learning_rate,
                        model.labels: sampler.labels[drawn], model.valid: valid[first:first + size]})[1]
                    check_loss(loss, epoch, epochs, options)
                found.append(gfr_metric.Metric(metric.mean, session.run(model.matrix)))
                bar.update()
    return found


class _Linear(Model):
    def __init__(self, metric, classes, options, seed):
        super().__init__(len(metric.mean))
        self.matrix = tf.Variable(metric.matrix)
        self.finish(normalise(tf.matmul(self.rows - metric.mean, self.matrix)), classes, options, seed)
