"""Retrieval on held-out images while training: each image searches all others, right is what has its label.

    runs/<name>/validation.csv    step, mAP, recall_at_1, num_queries: a line for each time
"""
import csv
import logging
import os
from collections import namedtuple

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import replacing
from slim_retrieval.datasets.factory import read_split, split_exists
from slim_retrieval.datasets.table import known_label_ids
from slim_retrieval.training.embed import embed

log = logging.getLogger(__name__)

# table: ImageTable; column: its label column; measure: function (float32 features [n, d], rows of length 1; n paths;
# n labels) -> {"mAP", "recall_at_1", "num_queries"} of images that search each other.
HeldOut = namedtuple("HeldOut", "table column measure")

COLUMNS = ["step", "mAP", "recall_at_1", "num_queries"]


def hold_out(table, column, share, seed):
    """Return (the images to train on, the images of the classes held out), cut by classes.

    Args:
      table: ImageTable; images without a label are trained on.
      column: the label column.
      share: share of the classes that is held out, rounded, at least two classes; 0: none, and None is returned.
      seed: fixes which classes.

    Raises:
      InputError: fewer than two classes would be left on either side.
    """
    if not share:
        return table, None
    ids, names = known_label_ids(table, column)
    count = max(2, int(round(share * len(names))))
    if len(names) - count < 2:
        raise InputError("training.validation_classes is {} of {} classes, which leaves {} to train on; at least 2 are "
                         "needed on both sides".format(share, len(names), max(0, len(names) - count)))
    is_held = np.isin(ids, np.random.RandomState(seed).permutation(len(names))[:count])
    return table.subset(np.flatnonzero(~is_held)), table.subset(np.flatnonzero(is_held))


def validation_table(options, column, held, seed):
    """Return the images to validate on, at most `training.validation_images` of them, or None where there are none.

    Args:
      options: the whole configuration; column: the label column.
      held: what `hold_out` gave: used where there is no split `validation`.
      seed: fixes which images, where there are too many.

    Raises:
      InputError: both are given.
    """
    exists, training = split_exists(options["data"], "validation"), options["training"]
    if exists and held is not None:
        raise InputError("training.validation_classes is {} and data.validation.source is {!r}; leave one of them "
                         "out".format(training["validation_classes"], options["data"]["validation"]["source"]))
    if not training["validate_every_steps"] or not (exists or held is not None):
        return None
    table = held if held is not None else read_split(options["data"], "validation", seed)
    if column not in table.columns:
        log.warning("no validation: its images have no column %r, which the losses use", column)
        return None
    rows = choose(known_label_ids(table, column)[0], training["validation_images"], seed)
    if not len(rows):
        log.warning("no validation: none of its %d images shares its %s with another, so nothing can be found",
                    len(table), column)
        return None
    return table.subset(rows)


def choose(ids, most, seed):
    """Return int rows, ascending, at most `most`, of the images whose label another image has, too.

    Where there are too many, as many classes as possible keep at least four images each, and all about equally many.

    Args:
      ids: int [n], labels; below 0: none. most: 0: all.
    """
    random = np.random.RandomState(seed)
    groups = [random.permutation(np.flatnonzero(ids == label)) for label in np.unique(ids) if label >= 0]
    groups = [rows for rows in groups if len(rows) > 1]
    groups = [groups[i] for i in random.permutation(len(groups))]
    if most and sum(map(len, groups)) > most:
        each = max(min(4, most), most // len(groups))
        groups = [rows[:each] for rows in groups]
        groups = [rows for rows, end in zip(groups, np.cumsum([len(rows) for rows in groups])) if end <= most]
    return np.sort(np.concatenate(groups)) if groups else np.zeros(0, np.int64)


class Validation:
    """Measures the training's embedding on held-out images (`held`: HeldOut)."""

    def __init__(self, tower, held, path, first_step, workers=2):
        """Take the inference tower, the images and the CSV to write.

        Lines of the CSV beyond `first_step` were written by a run that did not save them: they go.
        """
        self.held = held
        self._tower, self._path, self._workers = tower, path, workers
        self._lines = [line for line in _read(path) if int(line["step"]) <= first_step]

    def run(self, session, step):
        """Return (metrics, rows, features): the metrics of `step`, written to the CSV, and what they were made from."""
        rows, features = embed(session, self._tower, self.held.table, workers=self._workers, what="validating")
        labels = self.held.table.columns[self.held.column]
        found = dict.fromkeys(COLUMNS[1:], float("nan"))
        if np.isfinite(features).all():
            found = self.held.measure(features, [self.held.table.paths[i] for i in rows], [labels[i] for i in rows])
        self._lines.append(dict({name: found[name] for name in COLUMNS[1:]}, step=step))
        with replacing(self._path) as temporary, open(temporary, "w", newline="") as stream:
            table = csv.DictWriter(stream, COLUMNS)
            table.writeheader()
            table.writerows(self._lines)
        log.info("step %d: validation mAP %.4f, Recall@1 %.4f (%s images search each other)", step, found["mAP"],
                 found["recall_at_1"], found["num_queries"])
        return found, rows, features


def _read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))
