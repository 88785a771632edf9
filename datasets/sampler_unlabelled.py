"""Images without a label in the first loss's column, mixed into another sampler's batches for the other losses."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.rounds import UNLABELLED, Rounds


class WithUnlabelled:
    """The batches of a sampler, with U unlabelled images spread evenly between its groups.

    They come out of shuffled epochs over all unlabelled rows. Groups stay whole, so that they do in each tower's slice.
    """

    def __init__(self, sampler, per_batch, group, seed):
        """Wrap a sampler that has an `index`.

        Args:
          per_batch: U, a multiple of `group`.
          group: images that must stay side by side in the sampler's batches (samplers.group_size).

        Raises:
          InputError: U is no multiple of the group, or every image has a label.
        """
        if per_batch % group:
            raise InputError("training.unlabelled_per_batch {} is not a multiple of {}, the images that stay together "
                             "in a batch".format(per_batch, group))
        if not len(sampler.index.unlabelled):
            raise InputError("training.unlabelled_per_batch is {} but every image has a label in the first loss's "
                             "column; set it to 0".format(per_batch))
        self.index, self._sampler, self._per_batch, self._group = sampler.index, sampler, per_batch, group
        self._rounds = Rounds(seed, UNLABELLED, kept=2)

    def batch(self, step):
        """Return int32 row ids of batch `step`: those of the sampler, and U unlabelled ones."""
        labelled = self._sampler.batch(step).reshape(-1, self._group)
        rows = self.index.unlabelled
        more = rows[self._rounds.epochs(step, len(rows), self._per_batch)].reshape(-1, self._group)
        places = np.arange(len(more)) * len(labelled) // len(more)  # np.insert: before which labelled group
        return np.insert(labelled, places, more, axis=0).reshape(-1).astype(np.int32)

    def use(self, neighbors):
        """Hand mined neighbours on to the sampler."""
        self._sampler.use(neighbors)

    def class_rows(self, row):
        """Return the rows (ascending) that may stand in for `row`."""
        return self.index.class_rows(row)
