import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.regions import crop, format_box, list_images, parse_box, parse_rotation
from slim_retrieval.datasets.table import UnreadableImage

PIXELS = np.random.RandomState(0).randint(0, 256, (9, 11, 3)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_crops_are_those_of_pillow(seed):
    """The revisited benchmark crops with Image.crop; within the image both must give the same pixels."""
    random = np.random.RandomState(seed)
    x = np.sort(random.uniform(0, 11, 2))
    y = np.sort(random.uniform(0, 9, 2))
    box = x[0], y[0], x[1] + 1, y[1] + 1
    inside = box[0], box[1], min(box[2], 11), min(box[3], 9)
    expected = np.array(Image.fromarray(PIXELS).crop(tuple(int(round(v)) for v in inside)))
    assert np.array_equal(crop(PIXELS, box, "x"), expected)


def test_what_lies_outside_is_cut_off_and_nothing_left_is_an_error():
    assert np.array_equal(crop(PIXELS, (-3, -2, 4, 100), "x"), PIXELS[:, :4])
    for box in [(11, 0, 20, 5), (-5, 0, 0, 5), (0, 9, 3, 12), (2, 2, 2.4, 5)]:
        with pytest.raises(UnreadableImage, match="holds no pixel of its 11 x 9"):
            crop(PIXELS, box, "x")


@pytest.mark.parametrize("text, expected", [
    ("136.5 34.1 648.5 955.7", (136.5, 34.1, 648.5, 955.7)), ("1,2,3,4", (1, 2, 3, 4)), ("[1, 2, 3, 4]", (1, 2, 3, 4)),
    (" 0\t0;5 6 ", (0, 0, 5, 6)), ("-1 -2 3 4", (-1, -2, 3, 4)), ("", None), ("  ", None)])
def test_boxes_as_people_write_them(text, expected):
    assert parse_box(text) == expected
    if expected:
        assert parse_box(format_box(expected)) == expected


@pytest.mark.parametrize("text", ["1 2 3", "1 2 3 4 5", "a b c d", "3 0 3 4", "5 0 3 4", "0 4 3 4", "0 0 nan 4",
                                  "inf 0 1 1"])
def test_what_is_no_box(text):
    with pytest.raises(InputError, match="the box '{}' (is not x1 y1 x2 y2|has no area)".format(text)):
        parse_box(text)


def test_rotations():
    assert [parse_rotation(text) for text in ["", "0", "90", " 180", "270"]] == [0, 0, 1, 2, 3]
    with pytest.raises(InputError, match="the rotation '45' is none of"):
        parse_rotation("45")


def test_subsets_keep_their_boxes(tmp_path):
    path = str(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(path)
    table = list_images([path] * 3, {"box": ["", "0 0 2 2", "1 1 11 9"]}).subset([2, 0])
    assert np.array_equal(table.load(0), PIXELS[1:, 1:]) and np.array_equal(table.load(1), PIXELS)
    assert table.load(0).flags["C_CONTIGUOUS"]
