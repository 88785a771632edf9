import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.report_pictures import data_uri, thumbnails


def decode(uri):
    kind, text = re.match("data:image/(png|jpeg);base64,(.*)$", uri).groups()
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_small_pictures_are_exact_and_large_ones_shrink():
    small = np.random.RandomState(0).randint(256, size=(28, 64, 3)).astype(np.uint8)
    kind, image = decode(data_uri(small))
    assert kind == "png"
    np.testing.assert_array_equal(image, small)
    large = np.zeros((300, 600, 3), np.uint8)
    large[:, :, 0] = 200
    kind, image = decode(data_uri(large, side=100))
    assert kind == "jpeg" and image.shape == (50, 100, 3)
    assert abs(image.astype(int) - [200, 0, 0]).max() < 8
    assert decode(data_uri(small, side=40))[1].shape[1] == 40


def solid(row):
    return np.full((4, 4, 3), row, np.uint8)


def test_each_is_read_once_and_what_fails_is_counted():
    read = []

    def gallery(row):
        read.append(row)
        if row == 2:
            raise OSError("gone")
        if row == 3:
            raise InputError("not in the data")
        return solid(row)

    keys = [("gallery", row) for row in range(100)] + [("query", 1)]
    found, unreadable, over = thumbnails({"gallery": gallery, "query": lambda row: solid(7)}, keys, 40, 10 ** 6)
    assert sorted(read) == list(range(100)) and (unreadable, over) == (2, 0)
    assert set(found) == set(keys) - {("gallery", 2), ("gallery", 3)}
    assert (decode(found["gallery", 9])[1] == 9).all() and (decode(found["query", 1])[1] == 7).all()


def test_an_error_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        thumbnails({"query": lambda row: 1 // 0}, [("query", 0)], 40, 100)


def test_the_budget_keeps_the_first():
    read, keys = [], [("query", row) for row in range(300)]
    one = len(data_uri(solid(0)))
    found, unreadable, over = thumbnails({"query": lambda row: read.append(row) or solid(0)}, keys, 40, 5 * one)
    assert list(found) == keys[:5] and (unreadable, over) == (0, 295)
    assert len(read) < 300  # the rest is not even read
    assert thumbnails({}, keys, 40, 0) == ({}, 0, 300)
