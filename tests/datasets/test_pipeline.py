import functools
import logging
import traceback

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.augment_pipeline import augment
from slim_retrieval.datasets.images import decode
from slim_retrieval.datasets.loader import BatchLoader
from slim_retrieval.datasets.pipeline import image_batches, image_shards, training_batches
from slim_retrieval.datasets.sampler import PKSampler
from slim_retrieval.datasets.table import ImageTable, UnreadableImage

SIZE = 6
PIXELS = np.random.RandomState(0).randint(0, 256, (12, SIZE, SIZE, 3)).astype(np.uint8)
LABELS = np.repeat(np.arange(4), 3).astype(np.int32)


def _table(bad=()):
    def read(i):
        if i in bad:
            raise UnreadableImage("image{}".format(i), "damaged")
        return PIXELS[i]

    return ImageTable(["image{}".format(i) for i in range(12)], {"label": [str(v) for v in LABELS]}, read)


def _loader(bad=()):
    return BatchLoader(_table(bad), {"label": LABELS, "double": 2 * LABELS}, PKSampler(LABELS, 2, 2, 0), SIZE)


def _run(first, last, loader=None, **options):
    """Return the list of (images, labels) of all steps."""
    found = []
    with tf.Graph().as_default(), tf.Session() as session:
        batch = training_batches(loader or _loader(), first, last, **options)
        while True:
            try:
                found.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                return found


def test_batches_are_the_loaders_in_order_as_raw_floats():
    found = _run(2, 9, workers=3)
    assert len(found) == 7
    for step, (images, labels) in zip(range(2, 9), found):
        expected, expected_labels = _loader().load(step)
        assert images.dtype == np.float32
        assert (images == expected).all()
        assert labels["label"].dtype == np.int32
        assert (labels["label"] == expected_labels["label"]).all()
        assert (labels["double"] == expected_labels["label"] * 2).all()


def test_a_resumed_run_sees_the_same_batches_crops_and_flips():
    options = {"crop_padding": 2, "flip": True, "seed": 5}
    whole, resumed = _run(0, 12, workers=2, **options), _run(7, 12, workers=1, **options)
    for (a, _), (b, _) in zip(whole[7:], resumed):
        assert (a == b).all()
    other_seed = _run(7, 12, crop_padding=2, flip=True, seed=6)
    assert any((a != b).any() for (a, _), (b, _) in zip(resumed, other_seed))


def test_parts_of_a_batch_make_up_the_whole():
    options = {"crop_padding": 2, "flip": True, "seed": 5}
    parts = [_run(3, 6, _loader().part(start, stop), first_image=start, batch_size=4, **options)
             for start, stop in ((0, 1), (1, 4))]
    for whole, first, rest in zip(_run(3, 6, **options), *parts):
        np.testing.assert_array_equal(whole[0], np.concatenate([first[0], rest[0]]))
        np.testing.assert_array_equal(whole[1]["double"], np.concatenate([first[1]["double"], rest[1]["double"]]))


def test_crops_and_flips_are_those_that_numpy_makes():
    padding = 2
    offsets, flips = set(), set()
    for step, (images, _) in enumerate(_run(0, 40, crop_padding=padding, flip=True, seed=1)):
        source = _loader().load(step)[0]
        for image, original in zip(images, source):
            padded = np.pad(original, [(padding, padding), (padding, padding), (0, 0)], mode="reflect")
            matches = [(dy, dx, flip) for dy in range(5) for dx in range(5) for flip in (False, True)
                       if (padded[dy:dy + SIZE, dx:dx + SIZE][:, ::-1 if flip else 1] == image).all()]
            assert len(matches) == 1
            offsets.add(matches[0][:2])
            flips.add(matches[0][2])
    # 160 images over 25 crops: none is left out but by bad luck of (24/25)^160 each.
    assert len(offsets) >= 24
    assert flips == {False, True}


def test_images_of_one_batch_are_cropped_independently_and_evenly():
    size, padding, count = 5, 1, 3000
    one = np.arange(size * size * 3, dtype=np.uint8).reshape(1, size, size, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        crops = session.run(augment(tf.constant(np.repeat(one, count, 0)), tf.constant(3, tf.int64), padding, True, 0))
    shares = np.unique(crops.reshape(count, -1), axis=0, return_counts=True)[1] / count
    assert len(shares) == 18  # 3 x 3 crops, each flipped or not
    assert np.abs(shares - 1 / 18).max() < 0.02


def test_flip_alone_keeps_or_mirrors_and_nothing_is_random_without_both():
    for step, (images, _) in enumerate(_run(0, 5, flip=True)):
        for image, original in zip(images, _loader().load(step)[0]):
            assert (image == original).all() or (image == original[:, ::-1]).all()


def test_padding_must_be_smaller_than_the_image():
    with tf.Graph().as_default(), pytest.raises(InputError, match="crop_padding is 6 but images have 6 pixels"):
        training_batches(_loader(), 0, 1, crop_padding=SIZE)


def test_an_input_error_in_the_loader_is_kept_for_the_training_loop():
    loader = _loader(bad=[0, 1, 2])
    with pytest.raises(tf.errors.OpError):
        _run(0, 10, loader)
    assert isinstance(loader.failure, InputError)
    assert "none of the 3 images" in str(loader.failure)


def test_the_loader_runs_as_written():
    # AutoGraph would call it, and everything below it, through its own converted_call.
    loader, callers = _loader(), []
    plain = loader.load

    def load(step):
        callers.extend(frame.name for frame in traceback.extract_stack())
        return plain(step)

    loader.load = load
    _run(0, 2, loader)
    assert "load" in callers
    assert "converted_call" not in callers


def test_shapes_are_known_to_the_graph():
    with tf.Graph().as_default():
        images, labels = training_batches(_loader(), 0, 1)
        assert images.shape.as_list()[1:] == [SIZE, SIZE, 3]
        assert images.dtype == tf.float32
        assert sorted(labels) == ["double", "label"]
        assert labels["label"].shape.as_list() == [None]


@pytest.mark.parametrize("first, batch_size", [(0, 5), (3, 4), (0, 12), (0, 100), (11, 1), (12, 3)])
def test_extraction_reads_every_row_once_in_order_with_a_short_last_batch(first, batch_size):
    batches = list(image_batches(_table(), SIZE, batch_size, first, False, 3))
    sizes = [len(rows) for rows, _ in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert sum(sizes) == 12 - first
    if batches:
        assert np.concatenate([rows for rows, _ in batches]).tolist() == list(range(first, 12))
        assert (np.concatenate([images for _, images in batches]) == PIXELS[first:]).all()


def test_extraction_stops_at_an_unreadable_image_and_names_it():
    batches = image_batches(_table(bad=[7]), SIZE, 3)
    assert next(batches)[0].tolist() == [0, 1, 2]
    assert next(batches)[0].tolist() == [3, 4, 5]
    with pytest.raises(UnreadableImage, match="image7: damaged; .*--extraction.skip_unreadable true") as info:
        next(batches)
    assert "\n" not in str(info.value)


def test_shards_say_where_they_end_whatever_can_be_read():
    shards = list(image_shards(_table(bad=[1, 3, 4, 5]), lambda height, width: (height, 2), 3, 3, True))
    assert [(end, rows.tolist()) for end, rows, _ in shards] == [(6, []), (9, [6, 7, 8]), (12, [9, 10, 11])]
    assert [image.shape for image in shards[1][2]] == 3 * [(SIZE, 2, 3)]


def test_files_are_resized_as_arrays_are(tmp_path):
    paths = [str(tmp_path / "{}.png".format(i)) for i in range(12)]
    for path, pixels in zip(paths, PIXELS):
        Image.fromarray(pixels).save(path)
    table = ImageTable(paths, {}, lambda i: functools.partial(decode, paths[i]))
    assert (table.load(3) == PIXELS[3]).all() and (table.subset([3]).load(0) == PIXELS[3]).all()
    (_, _, expected), = image_shards(_table(), lambda *_: (5, 2), 12)
    (_, _, found), = image_shards(table, lambda *_: (5, 2), 12, draft=2.0)
    assert (np.stack(found) == np.stack(expected)).all()


def test_extraction_can_leave_unreadable_images_out(caplog):
    with caplog.at_level(logging.WARNING):
        batches = list(image_batches(_table(bad=[1, 3, 4, 5]), SIZE, 3, skip_unreadable=True))
    assert [rows.tolist() for rows, _ in batches] == [[0, 2], [6, 7, 8], [9, 10, 11]]
    assert (batches[0][1] == PIXELS[[0, 2]]).all()
    assert [name for name in ["image1", "image3", "image4", "image5"]
            if sum(name in r.getMessage() for r in caplog.records) != 1] == []


def test_extraction_loads_a_bounded_number_of_images_ahead():
    loaded = []

    def read(i):
        loaded.append(i)
        return PIXELS[0]

    table = ImageTable([str(i) for i in range(500)], {}, read)
    batches = image_batches(table, SIZE, 10)
    next(batches)
    batches.close()
    assert len(loaded) <= 50
