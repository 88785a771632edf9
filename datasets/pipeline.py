"""Input pipelines: training batches as graph tensors, and images in order for extraction as plain arrays."""
import collections
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.augment_pipeline import augment
from slim_retrieval.datasets.images import load_resized
from slim_retrieval.datasets.table import UnreadableImage

log = logging.getLogger(__name__)

_AHEAD = 2  # image_shards: shards in work while one is used

# In TensorFlow 1.15, AutoGraph reaches through a map function into the loader's plain Python and all that it calls,
# and makes it some forty times slower.
_as_written = tf.autograph.experimental.do_not_convert


def training_batches(loader, first_step, last_step, **options):
    """Return graph tensors that give batch first_step, first_step + 1, ..., last_step - 1, then OutOfRangeError.

    Batch t is the same whether or not the run was resumed: the loader's rows and all that is random in an image depend
    on (seed, t) alone.

    Args:
      loader: BatchLoader.
      options: see `_dataset`.

    Returns:
      float32 images [B, S, S, 3] with raw values 0 to 255, and {column: int32 labels [B]}. When running them raises a
      tf.errors.OpError and `loader.failure` is not None, the latter is the cause, to be raised in its place.

    Raises:
      InputError: crop_padding is not smaller than the image, or a range of the augmentation is none.
    """
    with tf.device("/cpu:0"):
        return tf.data.make_one_shot_iterator(_dataset(loader, first_step, last_step, **options)).get_next()


def restartable_batches(loader, **options):
    """Return as `training_batches`, and a function start(session, first_step, last_step) to be called before the first
    batch, and again whenever the batches to come are other ones: whatever was loaded ahead is dropped."""
    with tf.device("/cpu:0"):
        steps = tf.placeholder(tf.int64, [2], "first_and_last_step")
        iterator = tf.data.make_initializable_iterator(_dataset(loader, steps[0], steps[1], **options))
        images, labels = iterator.get_next()

    def start(session, first_step, last_step):
        session.run(iterator.initializer, {steps: [first_step, last_step]})

    return images, labels, start


def _dataset(loader, first_step, last_step, crop_padding=0, flip=False, seed=0, workers=2, prefetch=4,
             augmentation=None, first_image=0, batch_size=None):
    """Return the tf.data pipeline.

    Args:
      crop_padding: pixels by which the image is mirrored beyond its edges before a random crop back to its size.
      flip: mirror each image left to right with probability 1/2.
      seed: seed of all that is random in an image.
      workers: batches loaded, and changed, in parallel.
      prefetch: batches ready ahead.
      augmentation: dict of AugmentationConfig; None: all off.
      first_image, batch_size: where `loader.part(...)` begins in the whole batch, and the size of that; all that is
        random in a part is as it is in the whole.
    """
    size = loader.image_size
    if crop_padding >= size:
        raise InputError("data.crop_padding is {} but images have {} pixels (model.image_size); it must be "
                         "smaller".format(crop_padding, size))
    dataset = tf.data.Dataset.range(first_step, last_step)
    dataset = dataset.map(_as_written(lambda step: _load(loader, step)), num_parallel_calls=workers)
    dataset = dataset.map(_as_written(lambda step, images, *labels: (
        augment(images, step, crop_padding, flip, seed, augmentation, first_image, batch_size),
        dict(zip(loader.columns, labels)))), num_parallel_calls=workers)
    return dataset.prefetch(prefetch)


def image_batches(table, image_size, batch_size, first_row=0, skip_unreadable=False, workers=2):
    """Yield (int64 rows [b], uint8 images [b, S, S, 3]) from `first_row` to the end; threads load ahead.

    b is `batch_size` but for the last batch and where unreadable images were left out (each is named in a warning; a
    batch of which nothing is left is not yielded).

    Raises:
      UnreadableImage: an image cannot be read and `skip_unreadable` is false.
    """
    for _, kept, images in image_shards(table, lambda *_: (image_size, image_size), batch_size, first_row,
                                        skip_unreadable, workers):
        if images:
            yield kept, np.stack(images)


def image_shards(table, size_of, shard, first_row=0, skip_unreadable=False, workers=2, draft=0.0):
    """Yield (end, int64 rows [m], [uint8 images]) for the rows up to `end`, `shard` rows at a time; threads load ahead.

    Row i is the same whatever `first_row` is. m is `shard` but for the last one, and for unreadable images that were
    left out (each is named in a warning); it may be 0.

    Args:
      size_of: from an image's height and width to those that it is made.
      draft: as in images.decode.

    Raises:
      UnreadableImage: an image cannot be read and `skip_unreadable` is false.
    """
    starts = iter(range(first_row, len(table), shard))
    pending = collections.deque()
    with ThreadPoolExecutor(workers) as pool:
        def submit(start):
            rows = range(start, min(start + shard, len(table)))
            pending.append((rows, [pool.submit(_load_one, table, row, size_of, draft) for row in rows]))
        try:
            for _, start in zip(range(_AHEAD), starts):
                submit(start)
            while pending:
                rows, futures = pending[0]
                kept, images = _collect(rows, futures, skip_unreadable)
                pending.popleft()
                for start in starts:
                    submit(start)
                    break
                yield rows[-1] + 1, np.array(kept, np.int64), images
        finally:  # After an error, or when the caller stops early, nobody waits for the rest.
            for _, futures in pending:
                for future in futures:
                    future.cancel()


def _load(loader, step):
    """Return (step, uint8 images, labels of each column) as tensors."""
    def load(number):
        try:
            images, labels = loader.load(int(number))
        except Exception as error:  # TensorFlow turns it into an OpError with a traceback as text; keep the thing.
            if loader.failure is None:
                loader.failure = error
            raise
        return [images] + [labels[name] for name in loader.columns]

    images, *labels = tf.numpy_function(load, [step], [tf.uint8] + [tf.int32] * len(loader.columns))
    images.set_shape([None, loader.image_size, loader.image_size, 3])
    for tensor in labels:
        tensor.set_shape([None])
    return [step, images] + labels


def _load_one(table, row, size_of, draft):
    """Return the image, or the UnreadableImage in its place."""
    try:
        return load_resized(table, row, size_of, draft)
    except UnreadableImage as error:
        return error


def _collect(rows, futures, skip_unreadable):
    kept, images = [], []
    for row, future in zip(rows, futures):
        result = future.result()
        if not isinstance(result, UnreadableImage):
            kept.append(row)
            images.append(result)
        elif skip_unreadable:
            log.warning("%s; left out", result)
        else:
            raise UnreadableImage(result.path, result.reason + "; repair it, or leave such images out with "
                                  "--extraction.skip_unreadable true") from result
    return kept, images
