"""`BatchLoader`: training batch number t as arrays, with unreadable images replaced, counted and named."""
import copy
import logging
import os
import threading

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.images import resize
from slim_retrieval.datasets.table import UnreadableImage

log = logging.getLogger(__name__)


class BatchLoader:
    """Loads the batches that a sampler names. Safe to call from several threads.

    Attributes:
      table, sampler: as given.
      labels: {column: int32 [n]}; columns: their names, sorted.
      failure: the first exception that stopped a batch in the input pipeline, or None (datasets/pipeline.py).
    """

    def __init__(self, table, label_ids_by_column, sampler, image_size, boxes=None):
        """Make a loader.

        Args:
          table: ImageTable.
          label_ids_by_column: {column: int32 array [len(table)]}.
          sampler: PKSampler (or anything with `batch(step)` and `class_rows(row)`).
          image_size: side of the square images in pixels.
          boxes: function (step, count) -> [count, 4], which part of each image of a batch is shown, as `resize` takes
            it; None: all.
        """
        self.image_size = image_size
        self.columns = sorted(label_ids_by_column)
        self.failure = None
        self.table, self.sampler, self._boxes = table, sampler, boxes
        self.labels = {name: np.asarray(ids, np.int32) for name, ids in label_ids_by_column.items()}
        self._part = slice(None)
        self._unreadable = {}  # row -> reason
        self._lock = threading.Lock()

    @property
    def unreadable(self):
        """Paths of the images that could not be read so far, sorted."""
        with self._lock:
            return sorted(self.table.paths[row] for row in self._unreadable)

    def part(self, start, stop):
        """Return a loader of the images `start` to `stop` of each batch, for one of several machines."""
        part = copy.copy(self)
        part._part = slice(start, stop)
        return part

    def names(self, step):
        """Return the file names and labels of batch `step`, in its order: machines compare them."""
        rows = np.array(self.sampler.batch(step))[self._part]
        return [os.path.basename(self.table.paths[row]) for row in rows], [
            self.labels[name][rows].tolist() for name in self.columns]

    def load(self, step):
        """Return (uint8 images [B, S, S, 3], {column: int32 labels [B]}) of batch `step`.

        An image that cannot be read gives way to the next readable one of its class, in the order of the rows and
        from the last back to the first: never to one of another class. All labels are those of the image shown.

        Raises:
          InputError: no image of a class can be read.
        """
        rows = np.array(self.sampler.batch(step))
        boxes = (self._boxes(step, len(rows)) if self._boxes else [None] * len(rows))[self._part]
        rows = rows[self._part]
        images = np.empty((len(rows), self.image_size, self.image_size, 3), np.uint8)
        for i, row in enumerate(rows):
            rows[i], images[i] = self._readable(int(row), boxes[i])
        return images, {name: ids[rows] for name, ids in self.labels.items()}

    def _readable(self, row, box):
        """Return (row, part of the image) of the first readable row of the class, starting at `row`."""
        image = self._try(row, box)
        if image is not None:
            return row, image
        candidates = self.sampler.class_rows(row)
        start = int(np.searchsorted(candidates, row))
        for candidate in np.roll(candidates, -start)[1:]:
            image = self._try(int(candidate), box)
            if image is not None:
                return int(candidate), image
        raise InputError("none of the {} images of the class of {} can be read (the first: {}); repair them or remove "
                         "the class".format(len(candidates), self.table.paths[row], self._unreadable[row]))

    def _try(self, row, box):
        if row in self._unreadable:
            return None
        try:
            return resize(self.table.load(row), self.image_size, box=box)
        except UnreadableImage as error:
            with self._lock:
                is_new = row not in self._unreadable
                self._unreadable[row] = error.reason
                count = len(self._unreadable)
            if is_new:
                log.warning("%s; another image of its class takes its place (%d unreadable so far)", error, count)
            return None
