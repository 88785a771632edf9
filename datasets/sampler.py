"""P x K sampling: P classes a batch, K images of each. Which rows make up batch t depends on (seed, t) alone.

That makes a resumed run see exactly the batches it would have seen. Nothing is replayed: the place of step t in the
sequence of classes and of images is computed, and only the permutations around it are drawn.
"""
import functools
import logging
from math import gcd

import numpy as np

from slim_retrieval.common.errors import InputError

log = logging.getLogger(__name__)

_CLASSES, _IMAGES = 0, 1  # keep the random streams of classes and of images apart


class PKSampler:
    """Batches of P classes x K images.

    Classes come round in seeded permutations, so that every class is as often in a batch as any other; the images of a
    class likewise, each once in a pass over the class. No batch has a class twice. A class of fewer than K images
    repeats them within its group, evenly (this is logged once); a class of at least K never does.
    """

    def __init__(self, label_ids, classes_per_batch, images_per_class, seed):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row.
          classes_per_batch: P.
          images_per_class: K.
          seed: int from 0 to 2^31 - 1.

        Raises:
          InputError: there are fewer than P classes.
        """
        self._rows = np.argsort(label_ids, kind="stable").astype(np.int32)
        # Row r's class has the number `self._class_of[r]`: 0, 1, ... without gaps, whatever the ids.
        _, self._class_of, sizes = np.unique(label_ids, return_inverse=True, return_counts=True)
        self._class_of = self._class_of.reshape(-1).astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._p, self._k, self._seed = classes_per_batch, images_per_class, seed
        if len(sizes) < classes_per_batch:
            raise InputError("training.classes_per_batch is {} but there are {} classes; lower it or give more "
                             "classes".format(classes_per_batch, len(sizes)))
        _log_small_classes(sizes, images_per_class)
        self._class_order = functools.lru_cache(maxsize=2)(self._draw_class_order)
        self._image_order = functools.lru_cache(maxsize=1024)(self._draw_image_order)

    def batch(self, step):
        """Return int32 row ids [P * K] of batch `step` (0, 1, ...); K rows of one class lie side by side."""
        count = len(self._starts) - 1
        visit = step * self._p
        cycle, offset = divmod(visit, _cycle_length(count, self._p))
        classes = self._class_order(cycle)[offset:offset + self._p]
        # Every pass visits every class once, so pass number `visit // count` is how often a class came before.
        passes = (visit + np.arange(self._p)) // count
        return np.concatenate([self._group(int(c), int(p)) for c, p in zip(classes, passes)])

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        number = self._class_of[row]
        return self._rows[self._starts[number]:self._starts[number + 1]]

    def _group(self, number, visit):
        """Return the K rows of a class's visit number `visit`."""
        size = int(self._starts[number + 1] - self._starts[number])
        cycle, offset = divmod(visit * self._k, _cycle_length(size, self._k))
        order = self._image_order(number, cycle)[offset:offset + self._k]
        return self._rows[self._starts[number] + order]

    def _draw_class_order(self, cycle):
        random = np.random.RandomState((self._seed, _CLASSES, cycle))
        return grouped_passes(len(self._starts) - 1, self._p, random)

    def _draw_image_order(self, number, cycle):
        random = np.random.RandomState((self._seed, _IMAGES, number, cycle))
        return grouped_passes(int(self._starts[number + 1] - self._starts[number]), self._k, random)


def grouped_passes(count, group, random):
    """Return passes over `count` items, one after the other, that can be cut into whole groups.

    There are as many passes as it takes to end on a group's end. Each pass holds every item once. Within a group, too,
    any two items are equally often or once apart: with count >= group none is there twice, not even in a group that
    begins in one pass and ends in the next.

    Returns:
      int32 [least common multiple of count and group].
    """
    passes = np.empty((_cycle_length(count, group) // count, count), np.int32)
    for i in range(len(passes)):
        passes[i] = random.permutation(count)
        filled = i * count % group  # items in the group that is still open
        begun = filled % count  # of these, the items of its round over all items that is not yet complete
        if begun:
            passes[i] = _defer(passes[i], passes[i - 1][count - begun:], min(group - filled, count - begun))
    return passes.reshape(-1)


def _defer(order, taken, head):
    """Return `order` with its first `head` items that are not in `taken` moved to the front."""
    front = order[~np.isin(order, taken)][:head]
    return np.concatenate([front, order[~np.isin(order, front)]])


def _cycle_length(count, group):
    return count * group // gcd(count, group)


def _log_small_classes(sizes, images_per_class):
    small, single = int((sizes < images_per_class).sum()), int((sizes == 1).sum())
    if small:
        log.warning("%d of %d classes have fewer than training.images_per_class = %d images (%d have one): their "
                        "images repeat within a batch", small, len(sizes), images_per_class, single)
