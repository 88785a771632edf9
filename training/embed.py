"""Embeddings of whole splits in the middle of training: an inference tower that shares the training graph's variables.

    tower = inference_tower(options["model"], device)       # once, after the training towers are built
    rows, features = embed(session, tower, table)           # as often as wanted, between two steps
"""
from collections import namedtuple

import numpy as np

from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.pipeline import image_batches
from slim_retrieval.nets.model import build_model
from slim_retrieval.nets.stored_weights import AVERAGE
from slim_retrieval.training.devices import tower_device

# images: placeholder float32 [B, S, S, 3], raw RGB; embedding: float32 [B, d].
InferenceTower = namedtuple("InferenceTower", "images embedding")


def inference_tower(model_options, device="/cpu:0"):
    """Add the network to the current graph once more, reading the variables that are there and adding none.

    Where weights have moving averages (training.ema_decay), it reads these, as extraction will from the checkpoint.
    Batch norm uses the stored statistics and no update op is built, so that running it changes nothing.

    Args:
      model_options: dict of ModelConfig.
      device: where it runs; variables stay where they are.

    Returns:
      InferenceTower.

    Raises:
      ValueError: the graph lacks a variable, so no training tower was built.
    """
    side = model_options["image_size"]
    averages = {v.op.name: v for v in tf.global_variables() if v.op.name.endswith(AVERAGE)}

    def averaged(getter, *args, **kwargs):
        variable = getter(*args, **kwargs)
        return averages.get(variable.op.name + AVERAGE, variable)

    with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=averaged), \
            tf.device(tower_device(device)), tf.name_scope("inference"):
        images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        return InferenceTower(images, build_model(images, model_options, is_training=False).embedding)


def embed(session, tower, table, batch_size=64, workers=2, what="embedding"):
    """Return (int64 rows [m], float32 features [m, d], rows L2-normalised) of a table's images, in their order.

    Images that cannot be read are left out and named in a warning: m may be below len(table).

    Args:
      session: the training session, with all variables set.
      tower: what `inference_tower` gave.
      table: datasets.table.ImageTable, such as a split or a subset of one.
      batch_size: images a run; workers: threads that load images.
      what: name of the progress bar.
    """
    side, width = int(tower.images.shape[1]), int(tower.embedding.shape[1])
    rows, features = [np.zeros(0, np.int64)], [np.zeros((0, width), np.float32)]
    with progress(total=len(table), what=what, unit="image") as bar:
        for batch, images in image_batches(table, side, batch_size, skip_unreadable=True, workers=workers):
            rows.append(batch)
            features.append(session.run(tower.embedding, {tower.images: images}))
            bar.update(len(batch))
    return np.concatenate(rows), _unit_length(np.concatenate(features))


def _unit_length(features):
    """Return the rows at length 1: the network's own normalisation leaves short ones a little shorter."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
