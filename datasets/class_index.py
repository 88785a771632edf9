"""`ClassIndex`: the rows of each class, and those of none."""
import numpy as np


class ClassIndex:
    """Classes numbered 0, 1, ... without gaps, whatever their ids.

    Attributes:
      class_of: int32 [n], the number of each row's class; -1: the row has no label (its id is below 0).
      sizes: int64 [classes].
      unlabelled: int32, the rows without a label, ascending.
    """

    def __init__(self, label_ids):
        """Index the rows by their class id: int [n], below 0 where a row has none."""
        label_ids = np.asarray(label_ids)
        self.unlabelled = np.flatnonzero(label_ids < 0).astype(np.int32)
        labelled = np.flatnonzero(label_ids >= 0)
        self._rows = labelled[np.argsort(label_ids[labelled], kind="stable")].astype(np.int32)
        _, numbers, self.sizes = np.unique(label_ids[labelled], return_inverse=True, return_counts=True)
        self.class_of = np.full(len(label_ids), -1, np.int32)
        self.class_of[labelled] = numbers.reshape(-1)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    def __len__(self):
        """Return the number of classes."""
        return len(self.sizes)

    def rows(self, number):
        """Return the rows of class `number`, ascending."""
        return self._rows[self._starts[number]:self._starts[number + 1]]

    def class_rows(self, row):
        """Return the rows that may stand in for `row`, ascending: those of its class, or all without a label."""
        return self.unlabelled if self.class_of[row] < 0 else self.rows(self.class_of[row])
