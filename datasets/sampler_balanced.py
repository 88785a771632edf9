"""Images drawn singly: each class as often as any other, or each image as often as any other."""
import numpy as np

from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import CLASSES, ROWS, Rounds, earlier_visits
from slim_retrieval.datasets.sampler import check_enough_classes, images_of_classes


class BalancedSampler:
    """Batches of B images, one image a draw: every class comes equally often, whatever its size, and so do its images.

    With at least B classes no class is twice in a batch; with fewer any two are equally often or once apart. Rows
    without a label are in no batch.
    """

    def __init__(self, label_ids, batch_size, seed):
        """Prepare the sampler.

        Args:
          label_ids: int array [n], the class of each row; below 0: none.
          batch_size: B.
          seed: int from 0 to 2^31 - 1.

        Raises:
          InputError: no row has a label.
        """
        self.index = ClassIndex(label_ids)
        check_enough_classes(self.index, 1)
        self._size = batch_size
        self._classes = Rounds(seed, CLASSES, kept=2)
        self._group = images_of_classes(self.index, 1, seed)

    def batch(self, step):
        """Return int32 row ids [B] of batch `step`."""
        count = len(self.index)
        return np.concatenate([self._group(int(number), int(visit)) for number, visit in zip(
            self._classes(step, count, self._size), earlier_visits(step, count, self._size))])

    def class_rows(self, row):
        """Return the rows (ascending) of the class that `row` belongs to."""
        return self.index.class_rows(row)


class UniformSampler:
    """Batches of B images out of shuffled epochs over all rows, those without a label too.

    An epoch ends with its last whole batch: the fewer than B rows that remain are others in each epoch. With fewer than
    B rows in all, rows repeat within a batch, evenly.
    """

    def __init__(self, label_ids, batch_size, seed):
        """Prepare the sampler: label_ids int array [n], of which only the length and `class_rows` matter."""
        self.index = ClassIndex(label_ids)
        self._count, self._size = len(label_ids), batch_size
        self._rows = Rounds(seed, ROWS, kept=2)

    def batch(self, step):
        """Return int32 row ids [B] of batch `step`."""
        return np.array(self._rows.epochs(step, self._count, self._size), np.int32)

    def class_rows(self, row):
        """Return the rows (ascending) that may stand in for `row`: its class, or all without a label."""
        return self.index.class_rows(row)
