"""Pairs for siamese training: rows 2i and 2i + 1 of a batch are a pair, of one class or of two."""
from fractions import Fraction

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import CLASSES, SIBLINGS, SINGLES, TWO_CLASSES, Rounds, earlier_visits
from slim_retrieval.datasets.sampler import check_enough_classes


class PairSampler:
    """Batches of B / 2 pairs, a given share of which are negative (two classes), the others positive (one class).

    The share is met exactly over time, and the two kinds alternate evenly, so that each tower's slice has its part. In
    positive pairs every class of at least two images is as often as any other, and so are its images; in negative
    pairs every class. A class of one image is in negative pairs alone: an image is never paired with itself.
    """

    def __init__(self, label_ids, batch_size, negative_share, seed):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row; below 0: none, the row is in no batch.
          batch_size: B, even.
          negative_share: from 0 to 1.
          seed: int from 0 to 2^31 - 1.

        Raises:
          InputError: B is odd, no class has two images for a positive pair, or there are no two classes for a negative.
        """
        if batch_size % 2:
            raise InputError("sampler pairs: a batch of {} images does not consist of pairs; give an even "
                             "training.batch_size".format(batch_size))
        self.index = ClassIndex(label_ids)
        self._pairs, self._share = batch_size // 2, Fraction(str(negative_share)).limit_denominator(10**6)
        self._several = np.flatnonzero(self.index.sizes >= 2)
        check_enough_classes(self.index, 1)
        if self._share < 1 and not len(self._several):
            raise InputError("sampler pairs: no class has two images, so there is no positive pair; give more images, "
                             "or training.negative_share 1")
        if self._share > 0 and len(self.index) < 2:
            raise InputError("sampler pairs: there is one class, so there is no negative pair; give more classes, or "
                             "training.negative_share 0")
        self._classes, self._two = Rounds(seed, CLASSES, kept=2), Rounds(seed, TWO_CLASSES, kept=2)
        self._siblings, self._singles = Rounds(seed, SIBLINGS), Rounds(seed, SINGLES)

    def batch(self, step):
        """Return int32 row ids [B] of batch `step`: rows 2i and 2i + 1 are a pair."""
        rows = []
        for number in range(step * self._pairs, (step + 1) * self._pairs):
            before = int(number * self._share)  # negative pairs among those before this one
            is_negative = int((number + 1) * self._share) > before
            rows.extend(self._negative(before) if is_negative else self._positive(number - before))
        return np.array(rows, np.int32)

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        return self.index.class_rows(row)

    def _positive(self, visit):
        number = int(self._several[self._classes(visit, len(self._several), 1)[0]])
        rows = self.index.rows(number)
        return rows[self._siblings(visit // len(self._several), len(rows), 2, number)]

    def _negative(self, visit):
        numbers = self._two(visit, len(self.index), 2)
        visits = earlier_visits(visit, len(self.index), 2)
        return [self.index.rows(n)[self._singles(int(v), len(self.index.rows(n)), 1, int(n))[0]]
                for n, v in zip(numbers, visits)]
