"""What a method that learns is taught by, and the store of what it learned.

    <folder>/<method>/<key>.npz             trained weights; the key is a hash of all that they depend on
    <folder>/<method>/.<key>.partial.npz    a network's training that was stopped; the same command goes on with it
"""
import os

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features, methods


def teacher(name, train, gallery):
    """Return the Source that a method learns from: the labelled rows of `train`, or the gallery without labels.

    Args:
      name: of the method, for the line that says which.
      train: sources.Source or None; an empty label is none.
      gallery: sources.Source.
    """
    known = np.zeros(0, int)
    if train is not None and train.labels is not None:
        known = np.flatnonzero(np.asarray(train.labels).astype(str) != "")
        features.check_same_width(train.features, gallery.features, "train")
    if len(known) == 0:
        print("  {}: no labelled train features, so it learns from the gallery without labels".format(name), flush=True)
        return gallery._replace(labels=None)
    if len(known) == len(train.labels):
        return train
    print("  {}: {} of {} train features have a label; it learns from these".format(
        name, len(known), len(train.labels)), flush=True)
    return train._replace(features=np.asarray(train.features[known]), labels=np.asarray(train.labels)[known])


def learned(name, estimator, section, seed, source, folder, stages, graph):
    """Return (trained estimator, path of its weights): those stored for the same, or trained now and stored.

    Args:
      name: of the method.
      estimator: untrained, made from `section` and `seed`.
      source: sources.Source to learn from.
      folder: where <method>/ is.
      stages: machine.Stopwatch; the seconds of stored weights count as if they had been trained now.
      graph: function that returns the source's neighbours, or None.
    """
    labels = None if source.labels is None else [str(label) for label in source.labels]
    settings = {key: value for key, value in methods.parameters(estimator, section).items()
                if key not in ("checkpoint", "queries")}  # what is done with queries is no matter of training
    key = files.digest(settings, estimator.version, seed, source.key, labels)
    path = os.path.join(folder, name, key + ".npz")
    try:
        stored = methods.METHODS[name](dict(section, checkpoint=path), seed)
        stages.seconds["learn"] = stored.report_["learn_seconds"]
        stages.tell("learn", " (stored, not trained again: {})".format(path))
        return stored, path
    except (InputError, KeyError):  # absent or damaged: train
        pass
    near = graph()
    with stages("learn"):
        codes = None if labels is None else np.unique(labels, return_inverse=True)[1]
        estimator.learn(source.features, codes, near, os.path.join(folder, name, "." + key + ".partial.npz"))
    stages.seconds["learn"] += estimator.report_.get("seconds_before", 0)
    estimator.report_["learn_seconds"] = stages.seconds["learn"] + stages.seconds.get("train_graph", 0)
    estimator.save(path)
    print("  trained weights: {}".format(path), flush=True)
    return estimator, path
