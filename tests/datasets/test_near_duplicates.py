import io

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.datasets.checks import GRID, check_images
from slim_retrieval.datasets.near_duplicates import LIMIT, near_pairs
from slim_retrieval.datasets.table import ImageTable


def pairs(first, second, **options):
    found = [(int(a), int(b)) for i, j in near_pairs(first, second, **options) for a, b in zip(i, j)]
    assert len(set(found)) == len(found)
    return set(found)


def by_loops(first, second, limit):
    return {(i, j) for i, a in enumerate(first) for j, b in enumerate(second)
            if np.sqrt(((a.astype(float) - b) ** 2).mean()) <= limit}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("spread", [2, 6, 40])
def test_pairs_are_those_of_a_loop_over_all(seed, spread):
    random = np.random.RandomState(seed)
    centres = random.randint(60, 196, (5, GRID, GRID, 3))
    first, second = (np.clip(centres[random.randint(0, 5, n)] + random.randint(-spread, spread + 1, (
        n, GRID, GRID, 3)), 0, 255).astype(np.uint8) for n in (40, 30))
    for limit in (1.0, LIMIT, 12.0):
        assert pairs(first, second, limit=limit) == by_loops(first, second, limit)


def test_more_images_than_a_block():
    random = np.random.RandomState(0)
    first = random.randint(0, 256, (1300, GRID, GRID, 3)).astype(np.uint8)
    second = first[::-1][:1000].copy()
    assert pairs(first, second) == {(i, 1299 - i) for i in range(300, 1300)}


def test_all_alike_and_nothing_at_all():
    white = np.full((600, GRID, GRID, 3), 255, np.uint8)
    assert len(pairs(white, white[:50])) == 600 * 50
    assert pairs(white[:1], white[:1]) == {(0, 0)}
    assert pairs(white[:0], white) == pairs(white, white[:0]) == set()


def photo(seed):
    """A picture with structure of all sizes: noise that was enlarged from several grids, added up."""
    random = np.random.RandomState(seed)
    layers = [np.asarray(Image.fromarray(random.randint(0, 256, (n, n, 3)).astype(np.uint8)).resize(
        (160, 120), Image.BICUBIC), np.float64) for n in (2, 4, 8, 16, 60)]
    return Image.fromarray(np.clip(np.mean(layers, axis=0) * 1.6 - 70, 0, 255).astype(np.uint8))


def as_jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("change, is_same", [
    (lambda image: as_jpeg(image, 50), True), (lambda image: image.resize((80, 60), Image.BILINEAR), True),
    (lambda image: image.resize((320, 240), Image.BICUBIC), True), (lambda image: image.transpose(0), False),
    (lambda image: Image.eval(image, lambda value: min(255, value + 20)), False)])
def test_the_same_picture_in_another_file_is_found_and_others_are_not(change, is_same):
    originals = [photo(seed) for seed in range(20)]
    tables = [ImageTable([str(i) for i in range(20)], {}, lambda i, images=images: np.array(images[i].convert("RGB")))
              for images in (originals, [change(image) for image in originals])]
    found = pairs(*[check_images(table).thumbs for table in tables])
    assert found == ({(i, i) for i in range(20)} if is_same else set())
