"""P x K sampling: P classes a batch, K images of each. Which rows make up batch t depends on (seed, t) alone.

That makes a resumed run see exactly the batches it would have seen. Nothing is replayed: the place of step t in the
sequence of classes and of images is computed, and only the permutations around it are drawn (rounds.py).
"""
import logging

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import CLASSES, IMAGES, Rounds, earlier_visits

log = logging.getLogger(__name__)


class PKSampler:
    """Batches of P classes x K images (Hermans et al. 2017, section 2).

    Classes come round in seeded permutations, so that every class is as often in a batch as any other; the images of a
    class likewise, each once in a pass over the class. No batch has a class twice. A class of fewer than K images
    repeats them within its group, evenly (this is logged once); a class of at least K never does. Rows without a
    label are in no batch.
    """

    def __init__(self, label_ids, classes_per_batch, images_per_class, seed):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row; below 0: none.
          classes_per_batch: P.
          images_per_class: K.
          seed: int from 0 to 2^31 - 1.

        Raises:
          InputError: there are fewer than P classes.
        """
        self.index = ClassIndex(label_ids)
        self._p = classes_per_batch
        check_enough_classes(self.index, classes_per_batch)
        log_small_classes(self.index, images_per_class)
        self._classes = Rounds(seed, CLASSES, kept=2)
        self.group = images_of_classes(self.index, images_per_class, seed)

    def batch(self, step):
        """Return int32 row ids [P * K] of batch `step` (0, 1, ...); K rows of one class lie side by side."""
        count = len(self.index)
        classes = self._classes(step, count, self._p)
        return np.concatenate([self.group(int(number), int(visit)) for number, visit in zip(
            classes, earlier_visits(step, count, self._p))])

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        return self.index.class_rows(row)


def images_of_classes(index, images_per_class, seed):
    """Return a function (class number, visit number) -> the K rows that this visit of the class shows."""
    images = Rounds(seed, IMAGES)

    def group(number, visit):
        rows = index.rows(number)
        return rows[images(visit, len(rows), images_per_class, number)]

    return group


def check_enough_classes(index, classes_per_batch):
    """Refuse to draw more classes for a batch than there are."""
    if not len(index):
        raise InputError("no image has a label in the first loss's column, so there is no class to sample; fill the "
                         "column, put another loss first, or use training.sampler: uniform")
    if len(index) < classes_per_batch:
        raise InputError("training.classes_per_batch is {} but there are {} classes; lower it or give more "
                         "classes".format(classes_per_batch, len(index)))


def log_small_classes(index, images_per_class):
    """Say once how many classes have fewer than K images."""
    small, single = int((index.sizes < images_per_class).sum()), int((index.sizes == 1).sum())
    if small:
        log.warning("%d of %d classes have fewer than training.images_per_class = %d images (%d have one): their "
                    "images repeat within a batch", small, len(index), images_per_class, single)
