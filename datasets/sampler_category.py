"""P x K sampling within categories: a batch's classes come from C categories, so that an anchor meets negatives of its
own category."""
import logging

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import CLASSES, FILL, TURNS, Rounds, earlier_visits
from slim_retrieval.datasets.sampler import check_enough_classes, images_of_classes, log_small_classes

log = logging.getLogger(__name__)


class CategoryPKSampler:
    """Batches of P classes x K images whose classes come from C categories, P / C from each.

    A category has its turn in proportion to its number of classes, so that every class is as often in a batch as any
    other (but for a category that holds more than 1 / C of all classes: its classes come less often, for no category
    is twice in a batch). A category of fewer than P / C classes brings all of them, and classes of any other category
    take the places that remain. Batch t depends on (seed, t) alone; no batch has a class twice.
    """

    def __init__(self, label_ids, category_ids, classes_per_batch, images_per_class, seed, categories_per_batch=1):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row; below 0: none.
          category_ids: int array [n], the category of each row; below 0: none. A class belongs where most of its rows
            do; classes without a category are in no batch.
          classes_per_batch, images_per_class, seed: P, K and the seed, as PKSampler has them.
          categories_per_batch: C.

        Raises:
          InputError: P does not divide by C, or there are fewer than P classes or C categories.
        """
        if classes_per_batch % categories_per_batch:
            raise InputError("training.classes_per_batch {} does not divide by training.categories_per_batch {}".format(
                classes_per_batch, categories_per_batch))
        self.index = ClassIndex(label_ids)
        check_enough_classes(self.index, classes_per_batch)
        self._members = _classes_of_categories(self.index, np.asarray(category_ids))
        if len(self._members) < categories_per_batch:
            raise InputError("training.categories_per_batch is {} but {} categories have classes; lower it".format(
                categories_per_batch, len(self._members)))
        self._c, self._each, self._seed = categories_per_batch, classes_per_batch // categories_per_batch, seed
        sizes = np.array([len(members) for members in self._members])
        self._turns = _Turns(np.maximum(sizes, self._each), self._c, seed)
        _log_small_categories(sizes, self._each)
        log_small_classes(self.index, images_per_class)
        self._order = Rounds(seed, CLASSES)
        self._group = images_of_classes(self.index, images_per_class, seed)

    def batch(self, step):
        """Return int32 row ids [P * K] of batch `step`; K rows of a class and the classes of a category lie together.
        """
        numbers, visits = [], []
        for category, turn in self._turns(step):
            members = self._members[category]
            take = min(self._each, len(members))
            numbers.append(members[self._order(turn, len(members), take, category)])
            visits.append(earlier_visits(turn, len(members), take))
        chosen = np.concatenate(numbers)
        missing = self._c * self._each - len(chosen)
        if missing:
            random = np.random.RandomState((self._seed, FILL, step))
            others = np.setdiff1d(np.arange(len(self.index)), chosen)
            numbers.append(random.choice(others, missing, replace=False))
            visits.append(random.randint(2**31 - 1, size=missing))
        return np.concatenate([self._group(int(n), int(v)) for n, v in zip(
            np.concatenate(numbers), np.concatenate(visits))])

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        return self.index.class_rows(row)


class _Turns:
    """Whose turn it is: C different categories for each step, each as often as its weight says."""

    def __init__(self, weights, categories_per_batch, seed):
        self._weights, self._c = _capped(weights, categories_per_batch), categories_per_batch
        self._cycle = Rounds(seed, TURNS, kept=2)

    def __call__(self, step):
        """Return [(category, how many turns it had before)] of a step, C of them.

        A cycle has as many steps as the weights' sum W. The C W turns of the categories, those of one category side by
        side, are dealt to the W steps like cards. So no step has a category twice as long as no category has more than
        W turns, which is what the cap ensures; the steps are then shuffled.
        """
        steps = int(self._weights.sum())
        cycle = step // steps
        dealt_to = self._cycle(step, steps, 1)[0]  # this step's place in the shuffled cycle
        slots = dealt_to + steps * np.arange(self._c)
        ends = np.cumsum(self._weights * self._c)
        categories = np.searchsorted(ends, slots, side="right")
        first = ends[categories] - self._weights[categories] * self._c
        return [(int(c), int(cycle * self._weights[c] * self._c + slot - f)) for c, slot, f in zip(
            categories, slots, first)]


def _capped(weights, parts):
    """Return the integer weights with the largest lowered until none is more than 1 / parts of their sum."""
    weights = np.asarray(weights, np.int64)
    while weights.max() * parts > weights.sum():
        weights = np.minimum(weights, weights.sum() // parts)
    return weights


def _classes_of_categories(index, category_ids):
    """Return for each category the numbers of its classes, in the order of the categories' ids."""
    found, mixed, without = {}, 0, 0
    for number in range(len(index)):
        ids = category_ids[index.rows(number)]
        values, counts = np.unique(ids[ids >= 0], return_counts=True)
        mixed += len(values) > 1
        if len(values):
            found.setdefault(int(values[np.argmax(counts)]), []).append(number)
        else:
            without += 1
    if mixed:
        log.warning("%d of %d classes have images in several categories: each counts where most of its images are",
                    mixed, len(index))
    if without:
        log.warning("%d of %d classes have no category: they are in no batch", without, len(index))
    return [np.array(found[category], np.int32) for category in sorted(found)]


def _log_small_categories(sizes, each):
    small, single = int((sizes < each).sum()), int((sizes == 1).sum())
    if small:
        log.warning("%d of %d categories have fewer than %d classes (%d have one): in their batches classes of other "
                    "categories take the places that remain", small, len(sizes), each, single)
