"""Losses of GFR's training, as TensorFlow graphs.

With f the feature (unit rows), logits = ReLU(f) V + b:

    class         mean cross entropy of the anchors' logits
    rank          T = mean of max(0, margin - f_a . f_p + f_a . f_n)
                  (for unit rows, half the difference of squared distances)
    batch         B = cross entropy of picking an anchor's own positive among the batch's positives by
                  f_a . f_p / TEMPERATURE; other positives of the anchor's class are left out
    classRank     omega T + (1 - omega) class
    classBatch    omega B + (1 - omega) cross entropy over anchors and positives. The publication's words, "batch of
                  anchors and positives", leave the formula open; this one is our reading.
    unsupervised  B where a positive is one of the anchor's mutual neighbours; with drop_edge the two are seen in graphs
                  that differ
"""
from slim_retrieval.common.tensorflow import tf

TEMPERATURE = 0.1


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


def _class(model, options):
    return model.entropy(slice(None))


def _rank(model, options):
    return rank_loss(*tf.split(model.features, 3), valid=model.valid, margin=options.margin)


def _batch(model, options):
    anchors, positives = tf.split(model.features, 2)
    return batch_loss(anchors, positives, tf.split(model.labels, 2)[0], model.valid)


def _class_rank(model, options):
    anchors = tf.shape(model.valid)[0]
    return options.omega * _rank(model, options) + (1 - options.omega) * model.entropy(slice(0, anchors))


def _class_batch(model, options):
    return options.omega * _batch(model, options) + (1 - options.omega) * model.entropy(slice(None))


# name -> (loss, how many of anchor, positive, negative a batch holds, whether it classifies)
LOSSES = {"class": (_class, 1, True), "rank": (_rank, 3, False), "batch": (_batch, 2, False),
          "classRank": (_class_rank, 3, True), "classBatch": (_class_batch, 2, True),
          "unsupervised": (_batch, 2, False)}
