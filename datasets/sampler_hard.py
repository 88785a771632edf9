"""P x K batches of anchors' classes and, beside each, the wrong classes whose images lie nearest."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import CLASSES, FILL, MATES, Rounds, earlier_visits
from slim_retrieval.datasets.sampler import check_enough_classes, images_of_classes, log_small_classes


class HardSampler:
    """Batches of P classes x K images: P / (1 + N) anchors' classes, each followed by N hard classes.

    Anchors' classes come round as PKSampler's do. A hard class is that of the nearest wrong-class image of any of the
    anchor's K images whose class is not yet in the batch; its group is that image and K - 1 others of its class, so
    that every loss for P x K batches works. Where the neighbours are used up, a random class takes the place. Rows
    without a label are in no batch, and no batch has a class twice.

    Batch t depends on (seed, t) and on what `use` was last given; before that, hard classes are random ones.
    """

    def __init__(self, label_ids, classes_per_batch, images_per_class, negatives, seed, category_ids=None):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row; below 0: none.
          classes_per_batch, images_per_class, seed: P, K and the seed, as PKSampler has them.
          negatives: N, hard classes for each anchor's class.
          category_ids: int array [n]; hard images are then of their anchor's category alone.

        Raises:
          InputError: P does not divide by 1 + N, or there are fewer than P classes.
        """
        if classes_per_batch % (1 + negatives):
            raise InputError("training.classes_per_batch {} does not divide by {}, an anchor's class and {} hard ones "
                             "(training.mining.negatives)".format(classes_per_batch, 1 + negatives, negatives))
        self.index = ClassIndex(label_ids)
        check_enough_classes(self.index, classes_per_batch)
        log_small_classes(self.index, images_per_class)
        self._anchors, self._negatives, self._k = classes_per_batch // (1 + negatives), negatives, images_per_class
        self._categories = None if category_ids is None else np.asarray(category_ids)
        self._seed, self._neighbors = seed, None
        self._classes = Rounds(seed, CLASSES, kept=2)
        self._group = images_of_classes(self.index, images_per_class, seed)

    def use(self, neighbors):
        """Take int32 [n, m], each row's nearest wrong-class rows, best first, -1 pads: for all batches from now on."""
        self._neighbors = neighbors

    def batch(self, step):
        """Return int32 row ids [P * K] of batch `step`; each anchor's class is followed by its hard classes."""
        count = len(self.index)
        classes = self._classes(step, count, self._anchors)
        visits = earlier_visits(step, count, self._anchors)
        taken, groups = set(classes.tolist()), []
        random = np.random.RandomState((self._seed, FILL, step))
        for number, visit in zip(classes, visits):
            rows = self._group(int(number), int(visit))
            groups.append(rows)
            for hard in self._hard_rows(rows, taken, random):
                groups.append(self._with_mates(hard, step))
        return np.concatenate(groups)

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        return self.index.class_rows(row)

    def _hard_rows(self, anchors, taken, random):
        """Return N rows of N classes that are not in `taken`, the hardest first; put their classes in `taken`."""
        found = []
        for row in self._candidates(anchors):
            if len(found) == self._negatives:
                break
            number = int(self.index.class_of[row])
            if number not in taken:
                taken.add(number)
                found.append(int(row))
        while len(found) < self._negatives:
            number = int(random.randint(len(self.index)))
            if number in taken:
                continue
            taken.add(number)
            found.append(int(random.choice(self.index.rows(number))))
        return found

    def _candidates(self, anchors):
        """Return the anchors' wrong-class neighbours: the nearest of each anchor, then each one's second, and so on."""
        if self._neighbors is None:
            return []
        near = self._neighbors[anchors]  # [K, m]
        usable = near >= 0
        if self._categories is not None:
            own = self._categories[anchors][:, None]
            usable &= (self._categories[near] == own) & (own >= 0)
        return near.T[usable.T]

    def _with_mates(self, row, step):
        """Return [K]: `row` and others of its class, evenly repeated where the class is smaller than K."""
        rows = self.index.rows(self.index.class_of[row])
        random = np.random.RandomState((self._seed, MATES, step, row))
        ordered = np.concatenate([[row], random.permutation(rows[rows != row])])
        return np.resize(ordered, self._k).astype(np.int32)
