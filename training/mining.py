"""Hard negatives over the whole training set: mined every so many steps, used by sampler `hard` until the next time.

    checkpoints/mined-2000.npy   int32 [n, m]: each training image's nearest wrong-class images by the weights of step
                                 2000, best first, -1 pads; kept as long as a checkpoint needs it

A batch depends on the seed, its step and the neighbours mined last. These are stored, so a run that is killed and
started again draws the same batches as one that was not.
"""
import glob
import logging
import os
import re
import time

import numpy as np

from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import remove, write_array
from slim_retrieval.datasets.samplers import images_per_step
from slim_retrieval.training.embed import embed

log = logging.getLogger(__name__)

KEPT = 20  # wrong-class neighbours stored for each image


class Miner:
    """Restarts the input pipeline at each mining, because batches loaded ahead would still be the old ones."""

    def __init__(self, loader, column, options, directory, search):
        """Prepare mining.

        Args:
          loader: BatchLoader whose sampler has `use`.
          column: label column that says what a wrong class is.
          options: the whole configuration as plain dicts.
          directory: the run's checkpoints folder.
          search: function (float32 [n, d] with rows of length 1, k) -> (int32 ids [n, k] without self, similarities
            [n, k]), best first, -1 pads, such as graph.knn.neighbors.
        """
        self._loader, self._labels, self._directory, self._search = loader, loader.labels[column], directory, search
        self._mining, self._workers = options["training"]["mining"], options["data"]["workers"]
        self._rows = np.flatnonzero(self._labels >= 0)
        self._every = self._mining["every_steps"] or -(-len(self._rows) // images_per_step(options["training"]))
        self._batches = options["training"]["accumulate"]  # a step
        self._last, self._tower, self._restart, self._next = options["training"]["steps"], None, None, None

    def attach(self, tower, restart, first_step):
        """Take the graph's embed.InferenceTower, the function (session, first, last) that lets the input pipeline give
        batches first ... last - 1, and the step that training begins at."""
        self._tower, self._restart, self._next = tower, restart, first_step

    def before(self, session, step):
        """Call it before batch number `step` (0, 1, ...) is asked for: mines when it is time.

        Raises:
          InputError: a run is resumed and the neighbours that its checkpoint needs are gone, or no image can be read.
        """
        if step != self._next:
            return
        mined = self._mined_at(step)
        if mined is not None:
            self._loader.sampler.use(self._mine(session, step) if mined == step else self._stored(mined))
        following = self._mining["start_step"] if mined is None else mined + self._every
        self._next = min(following, self._last)
        self._restart(session, step * self._batches, self._next * self._batches)

    def _mined_at(self, step):
        """Return the step whose weights gave the neighbours that batch `step` uses, or None."""
        since = step - self._mining["start_step"]
        return None if since < 0 else step - since % self._every

    def _mine(self, session, step):
        start, table = time.time(), self._loader.table
        found, features = embed(session, self._tower, table.subset(self._rows), workers=self._workers,
                                what="mining at step {}".format(step))
        rows = self._rows[found]
        if len(rows) < 2:
            raise InputError("mining: {} of {} images with a label can be read, so nothing can be compared; look at "
                             "data.path".format(len(rows), len(self._rows)))
        ids, similarities = self._search(features, max(1, min(self._mining["neighbors"], len(rows) - 1)))
        wrong = wrong_class(ids, self._labels[rows], KEPT)
        neighbors = np.full((len(table), wrong.shape[1]), -1, np.int32)
        neighbors[rows] = np.where(wrong >= 0, rows[wrong], -1)
        write_array(self._path(step), neighbors)
        self._delete_unneeded(step)
        _log(step, ids, similarities, wrong, time.time() - start)
        return neighbors

    def _stored(self, step):
        path = self._path(step)
        try:
            neighbors = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError("the run goes on from a checkpoint that needs {}, which cannot be read ({}); put it back, "
                             "or give another --run.name to train anew".format(path, error)) from error
        if len(neighbors) != len(self._loader.table):
            raise InputError("{} is of {} training images, now there are {}; put the old data back, or give another "
                             "--run.name".format(path, len(neighbors), len(self._loader.table)))
        return neighbors

    def _delete_unneeded(self, step):
        """Delete what neither a checkpoint nor the steps from `step` on can need."""
        needed = {self._mined_at(one) for one in checkpoint_files.steps(self._directory)} | {step}
        for path in glob.glob(os.path.join(glob.escape(self._directory), "mined-*.npy")):
            match = re.search(r"mined-(\d+)\.npy$", path)
            if match and int(match.group(1)) not in needed:
                remove(path)

    def _path(self, step):
        return os.path.join(self._directory, "mined-{}.npy".format(step))


def wrong_class(ids, labels, kept):
    """Return the neighbours of another class in their order, at most `kept`: int32 [n, m], -1 pads.

    Args:
      ids: int [n, k], neighbours of each of n images, -1 pads.
      labels: int [n].
    """
    wrong = (ids >= 0) & (labels[ids] != labels[:, None])
    order = np.argsort(~wrong, axis=1, kind="stable")[:, :kept]  # wrong ones first, each part in its order
    return np.where(np.take_along_axis(wrong, order, 1), np.take_along_axis(ids, order, 1), -1).astype(np.int32)


def _log(step, ids, similarities, wrong, seconds):
    """Say how hard the negatives are."""
    has = wrong[:, 0] >= 0
    nearest = similarities[has][ids[has] == wrong[has, :1]]
    log.info("step %d: mined the neighbours of %d images in %.1f s; similarity to the nearest wrong class %.3f on "
             "average", step, len(ids), seconds, nearest.mean() if len(nearest) else 0.0)
    if not has.all():
        log.warning("%d of %d images have none but their own class among their %d nearest: random classes take the "
                    "place; raise training.mining.neighbors to mine for them too", (~has).sum(), len(has), ids.shape[1])
