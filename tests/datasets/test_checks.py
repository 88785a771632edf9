import os
import warnings

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.datasets import checks
from slim_retrieval.datasets.check_cache import CheckCache
from slim_retrieval.datasets.checks import GRID, check_files, check_images, image_keys, nothing_known
from slim_retrieval.datasets.regions import list_images
from slim_retrieval.datasets.table import ImageTable

PIXELS = np.random.RandomState(0).randint(0, 256, (18, 27, 3)).astype(np.uint8)


def counting(table):
    """Return (a table that reads the same, the list of rows it has read)."""
    read = []

    def load(row):
        read.append(row)
        return table.load(row)
    return ImageTable(table.paths, table.columns, load), read


def test_equal_pictures_have_equal_digests_whatever_the_file(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.png", "b.bmp", "c.tif", "d.png", "e.png")]
    for path in paths[:3]:
        Image.fromarray(PIXELS).save(path)
    other = PIXELS.copy()
    other[3, 4, 1] ^= 1  # one bit of one pixel
    Image.fromarray(other).save(paths[3])
    Image.fromarray(PIXELS.reshape(27, 18, 3)).save(paths[4])  # the same bytes in another shape
    checked = check_images(list_images(paths, {}))
    assert checked.problems == [""] * 5
    assert [checked.pixels[0].tolist() == digest.tolist() for digest in checked.pixels] == [True] * 3 + [False] * 2
    assert checked.sizes.tolist() == [[27, 18]] * 4 + [[18, 27]]


def test_thumbnails_are_the_picture_in_small():
    """Of a slope, each inner cell has the value at its centre; rows are y, columns x, then red, green and blue."""
    y, x = np.mgrid[0:180, 0:270]
    slopes = np.stack([y, x // 2, 255 - y], axis=2).astype(np.uint8)
    thumb = check_images(ImageTable(["a"], {}, lambda i: slopes)).thumbs[0].astype(int)
    across = np.arange(GRID) + 0.5
    down = 20 * across[:, None]
    expected = np.stack(np.broadcast_arrays(down, 15 * across[None], 255 - down), axis=2)
    assert np.abs(thumb - expected)[1:-1, 1:-1].max() <= 1


def test_what_is_read_is_what_is_checked(tmp_path):
    """Crops, turns and the EXIF orientation are done before."""
    path, turned = str(tmp_path / "a.png"), str(tmp_path / "b.jpg")
    Image.fromarray(PIXELS).save(path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(turned, exif=exif.tobytes())
    checked = check_images(list_images([path, path, turned, path], {"box": ["", "1 2 6 9", "", "30 0 40 5"],
                                                                    "rotation": ["90", "", "", ""]}))
    assert checked.sizes.tolist() == [[18, 27], [5, 7], [18, 27], [0, 0]]
    assert checked.problems[3] == "its box 30 0 40 5 holds no pixel of its 27 x 18"


def test_kinds_of_images_and_what_cannot_be_read(tmp_path, photos):
    root = photos("a.png", "b.gif", "c.webp", "d.jpg", "e.jpg")
    Image.fromarray(PIXELS).convert("CMYK").save(str(tmp_path / "cmyk.jpg"))
    Image.fromarray(PIXELS).convert("P").save(str(tmp_path / "palette.png"))
    Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257).save(str(tmp_path / "deep.png"))
    content = (tmp_path / "d.jpg").read_bytes()
    (tmp_path / "d.jpg").write_bytes(content[:len(content) // 2])
    (tmp_path / "e.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not an image")
    names = ["a.png", "b.gif", "c.webp", "cmyk.jpg", "palette.png", "deep.png", "d.jpg", "e.jpg", "text.jpg", "no.jpg",
             "\udcff.jpg"]
    checked = check_images(list_images([os.path.join(root, name) for name in names], {}), workers=3)
    assert checked.problems[:6] == [""] * 6 and checked.sizes[:6].min() > 0
    assert "truncated" in checked.problems[6].lower()
    assert checked.problems[7:] == ["the file is empty", "it is not an image that Pillow knows",
                                    "there is no such file", "its name is not valid UTF-8; rename it"]
    assert not checked.sizes[6:].any()
    files = check_files(list_images([os.path.join(root, name) for name in names], {}))
    assert files.problems == [""] * 9 + ["there is no such file", "its name is not valid UTF-8; rename it"]


@pytest.mark.parametrize("count", [0, 1, 16, 100])
def test_every_row_is_looked_at_once_in_its_place(count):
    table, read = counting(ImageTable([str(i) for i in range(count)], {},
                                      lambda i: np.full((1 + i % 3, 2, 3), i, np.uint8)))
    checked = check_images(table, workers=4)
    assert sorted(read) == list(range(count))
    assert checked.thumbs[:, 0, 0, 0].tolist() == list(range(count))
    assert checked.sizes[:, 1].tolist() == [1 + i % 3 for i in range(count)]


def test_only_what_is_not_known_is_looked_at():
    table, read = counting(ImageTable(list("abc"), {}, lambda i: np.full((4, 4, 3), i, np.uint8)))
    known = nothing_known(3)
    known.sizes[1] = 9, 9
    assert check_images(table, known=known).sizes.tolist() == [[4, 4], [9, 9], [4, 4]]
    assert sorted(read) == [0, 2]


def test_an_error_that_is_no_unreadable_image_is_raised_and_what_was_done_is_saved():
    saved = []

    def load(i):
        if i == 150:
            raise MemoryError("too large")
        return np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(MemoryError):
        check_images(ImageTable([str(i) for i in range(200)], {}, load), workers=2, save=saved.append)
    assert len(saved) == 1 and saved[0].sizes[:100].all() and not saved[0].sizes[150].any()


def test_what_is_known_is_saved_now_and_then(monkeypatch):
    saved = []
    monkeypatch.setattr(checks, "_SECONDS_BETWEEN_SAVES", -1)
    check_images(ImageTable([str(i) for i in range(40)], {}, lambda i: np.zeros((2, 2, 3), np.uint8)), workers=1,
                 save=lambda known: saved.append(int((known.sizes[:, 0] > 0).sum())))
    assert saved == [16, 32, 40, 40]


def test_large_images_are_read_without_a_warning_and_bombs_are_not(tmp_path, monkeypatch):
    path = str(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(path)
    for limit, problem in [(18 * 27 - 1, ""), (18 * 27 // 2 - 1, "exceeds limit")]:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            assert problem in check_images(list_images([path], {})).problems[0]
        assert not heard


def test_the_cache_knows_images_by_file_crop_and_time(tmp_path, photos):
    root, cache = photos("a.png", "b.png", "c.png"), str(tmp_path / "checked.npz")
    (tmp_path / "d.png").write_bytes(b"")
    paths = [os.path.join(root, name) for name in ("a.png", "b.png", "c.png", "d.png")]
    table = list_images(paths, {"box": ["", "1 1 5 5", "", ""]})
    first = check_images(table, known=CheckCache(cache, table).load(), save=CheckCache(cache, table).save)
    again = CheckCache(cache, table).load()
    for name in ("sizes", "pixels", "thumbs"):
        assert np.array_equal(getattr(again, name), getattr(first, name))
    assert not again.sizes[3].any()  # unreadable ones are looked at again
    # Another crop, another time, another order, another file.
    photos("a.png", size=(20, 20))
    os.utime(paths[0], (1, 1))
    other = list_images([paths[2], paths[0], paths[1]], {"box": ["", "", "1 1 6 6"]})
    assert CheckCache(cache, other).load().sizes.any(axis=1).tolist() == [True, False, False]
    (tmp_path / "checked.npz").write_bytes(b"damaged")
    assert not CheckCache(cache, table).load().sizes.any()


def test_keys_tell_what_is_read_differently():
    keys = image_keys(list_images(["a"] * 4, {"box": ["", "0 0 1 1", "", ""], "rotation": ["", "", "90", ""]}))
    assert len(set(keys)) == 3 and keys[0] == keys[3]
