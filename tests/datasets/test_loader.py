import logging
import threading

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.factory import part_rows
from slim_retrieval.datasets.folder import read_folder
from slim_retrieval.datasets.loader import BatchLoader
from slim_retrieval.datasets.sampler import PKSampler
from slim_retrieval.datasets.table import ImageTable, UnreadableImage, label_ids

LABELS = np.array([0, 1, 0, 1, 0, 2, 2, 2], np.int32)


class _Fixed:
    """A sampler that always names the same rows."""

    def __init__(self, rows):
        self._rows = rows

    def batch(self, step):
        return np.array(self._rows, np.int32)

    def class_rows(self, row):
        return np.flatnonzero(np.equal(LABELS, LABELS[row]))


def _table(bad=()):
    """Return 8 images of 4 x 4 pixels; row i has the value 10 i; the rows in `bad` cannot be read."""
    def read(i):
        if i in bad:
            raise UnreadableImage("image{}".format(i), "damaged")
        return np.full((4, 4, 3), 10 * i, np.uint8)

    return ImageTable(["image{}".format(i) for i in range(8)], {"label": [str(v) for v in LABELS]}, read)


def _values(images):
    return images[:, 0, 0, 0].tolist()


def test_images_are_resized_and_labels_follow_the_rows():
    other = np.arange(8) + 100
    loader = BatchLoader(_table(), {"label": LABELS, "other": other}, _Fixed([5, 0, 3]), 6)
    images, labels = loader.load(0)
    assert images.dtype == np.uint8
    assert images.shape == (3, 6, 6, 3)
    assert _values(images) == [50, 0, 30]
    assert labels["label"].tolist() == [2, 0, 1]
    assert labels["other"].tolist() == [105, 100, 103]
    assert {values.dtype for values in labels.values()} == {np.dtype(np.int32)}
    assert loader.unreadable == []


def test_an_unreadable_image_gives_way_to_the_next_of_its_class(caplog):
    other = np.arange(8)
    loader = BatchLoader(_table(bad=[2, 7]), {"label": LABELS, "other": other}, _Fixed([2, 7, 1, 2]), 4)
    with caplog.at_level(logging.WARNING):
        images, labels = loader.load(0)
        loader.load(1)
    # Class 0 is rows 0, 2, 4: after 2 comes 4. Class 2 is rows 5, 6, 7: after 7 comes 5 again.
    assert _values(images) == [40, 50, 10, 40]
    assert labels["label"].tolist() == LABELS[[2, 7, 1, 2]].tolist()
    assert labels["other"].tolist() == [4, 5, 1, 4]
    assert loader.unreadable == ["image2", "image7"]
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 2  # once for each file, not for each time
    assert "image2" in messages[0] and "damaged" in messages[0] and "(1 unreadable so far)" in messages[0]
    assert "image7" in messages[1] and "(2 unreadable so far)" in messages[1]


def test_the_replacement_does_not_depend_on_what_was_loaded_before():
    bad = [0, 2, 5]
    labels = {"label": LABELS}
    used = BatchLoader(_table(bad), labels, PKSampler(LABELS, 2, 2, 0), 4)
    for step in range(9):
        used.load(step)
    for step in [3, 8]:
        fresh = BatchLoader(_table(bad), labels, PKSampler(LABELS, 2, 2, 0), 4)
        assert (fresh.load(step)[0] == used.load(step)[0]).all()


def test_a_class_without_a_readable_image_is_an_error():
    loader = BatchLoader(_table(bad=[1, 3]), {"label": LABELS}, _Fixed([3]), 4)
    with pytest.raises(InputError, match="none of the 2 images of the class of image3 can be read .*damaged") as info:
        loader.load(0)
    assert "\n" not in str(info.value)


def test_a_truncated_jpeg_on_disk_is_replaced_counted_and_named(tmp_path, caplog):
    for name, value in [("a/1.jpg", 10), ("a/2.jpg", 200), ("b/1.jpg", 90)]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (value,) * 3).save(str(path))
    (tmp_path / "a" / "1.jpg").write_bytes((tmp_path / "a" / "1.jpg").read_bytes()[:-100])
    table = read_folder(str(tmp_path))
    ids = label_ids(table)[0]
    loader = BatchLoader(table, {"label": ids}, PKSampler(ids, 2, 2, 0), 32)
    with caplog.at_level(logging.WARNING):
        images, labels = loader.load(0)
    expected = np.where(labels["label"] == 0, 200, 90)
    assert np.abs(images.astype(int) - expected[:, None, None, None]).max() <= 2
    assert loader.unreadable == [str(tmp_path / "a" / "1.jpg")]
    assert any(str(tmp_path / "a" / "1.jpg") in r.getMessage() and "truncated" in r.getMessage()
               for r in caplog.records)


def test_threads_share_a_loader(caplog):
    sampler = PKSampler(LABELS, 3, 2, 0)
    loader = BatchLoader(_table(bad=[0, 5]), {"label": LABELS}, sampler, 4)
    alone = BatchLoader(_table(bad=[0, 5]), {"label": LABELS}, sampler, 4)
    results = {}

    def work(first):
        for step in range(first, 60, 6):
            results[step] = loader.load(step)[0]

    with caplog.at_level(logging.WARNING):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([r for r in caplog.records if "unreadable so far" in r.getMessage()]) == 2
    for step in range(60):
        assert (results[step] == alone.load(step)[0]).all()


def test_no_validation_image_ever_gets_into_a_training_batch():
    # The trap: repeat().shuffle() followed by take/skip mixes them. Here the ids are split before anything else.
    train, validation = part_rows(8, 0, 0.75, 4), part_rows(8, 0.75, 1, 4)
    table = _table().subset(train)
    ids = label_ids(table)[0]
    loader = BatchLoader(table, {"label": ids}, PKSampler(ids, 2, 2, 0), 4)
    seen = {value for step in range(200) for value in _values(loader.load(step)[0])}
    assert seen == {10 * row for row in train}
    assert not seen & {10 * row for row in validation}
