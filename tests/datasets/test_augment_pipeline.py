"""Augmentation against loops, and its random numbers against the generator's definition: the same on both stacks."""
import colorsys
import math

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets import augment_pipeline
from slim_retrieval.datasets.augment_pipeline import Draws, augment
from slim_retrieval.datasets.augmentation import OFF
from slim_retrieval.datasets.loader import BatchLoader
from slim_retrieval.datasets.pipeline import training_batches
from slim_retrieval.datasets.table import ImageTable

SIZE = 9
IMAGES = np.random.RandomState(0).randint(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)
ALL = dict(OFF, rotation=20.0, brightness=.4, contrast=.3, saturation=.5, hue=.2, grayscale=.3, erasing=.6)


def run(build):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def augmented(images=IMAGES, step=3, seed=1, options=ALL, **part):
    return run(lambda: augment(tf.constant(images), tf.constant(step, tf.int64), 2, True, seed, options, **part))


@pytest.mark.parametrize("options", [None, OFF])
def test_off_is_the_image_itself(options):
    found = run(lambda: augment(tf.constant(IMAGES), tf.constant(3, tf.int64), 0, False, 1, options))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, IMAGES)


def test_an_image_depends_on_seed_step_and_place_alone():
    found = augmented()
    np.testing.assert_array_equal(found, augmented())
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 255
    for other in (augmented(step=4), augmented(seed=2)):
        assert (found != other).any(axis=(1, 2, 3)).all()
    # A machine that has images 2 to 5 of the batch makes of them what one that has all would.
    np.testing.assert_array_equal(augmented(IMAGES[2:5], first_image=2, batch_size=7), found[2:5])
    # Options that draw nothing in common leave each other alone.
    crop = augmented(options=OFF)
    erased = augmented(options=dict(OFF, erasing=1.0))
    assert (erased == crop).mean() > 0.5 and (erased != crop).any(axis=(1, 2, 3)).all()


def philox(key, counter):
    """Return four 32-bit numbers of Philox 4x32-10 (Salmon et al., SC 2011)."""
    key, counter = [int(k) for k in key], [int(c) for c in counter]
    for _ in range(10):
        products = [0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]]
        high, low = [p >> 32 for p in products], [p & 0xFFFFFFFF for p in products]
        counter = [high[1] ^ counter[1] ^ key[0], low[1], high[0] ^ counter[3] ^ key[1], low[0]]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def uniform_by_definition(seed, step, count):
    """Return what TensorFlow defines: both seeds scrambled into key and counter, 23 bits a number."""
    def halves(value):
        return [value & 0xFFFFFFFF, value >> 32]
    mixed = philox([0x3EC8F720, 0x02461E29], halves(seed) + halves(step))
    numbers = [n for block in range(-(-count // 4)) for n in philox(mixed[:2], [block, 0] + mixed[2:])]
    return np.array([(n & 0x7FFFFF) / 2.0**23 for n in numbers[:count]], np.float32)


def test_random_numbers_are_philox():
    found = run(lambda: Draws(5, tf.constant(9, tf.int64), 3)(2, 4))
    np.testing.assert_array_equal(found.reshape(-1), uniform_by_definition(5 + (2 << 32), 9, 12))


def jitter_by_hand(image, uniform, options):
    image = image.astype(np.float64)
    factor = [max(0, 1 + options[name] * (2 * u - 1))
              for name, u in zip(("brightness", "contrast", "saturation"), uniform)]
    image = np.clip(image * factor[0], 0, 255)
    luma = image @ [0.299, 0.587, 0.114]
    image = np.clip(factor[1] * image + (1 - factor[1]) * luma.mean(), 0, 255)
    luma = image @ [0.299, 0.587, 0.114]
    image = np.clip(factor[2] * image + (1 - factor[2]) * luma[..., None], 0, 255)
    turn = options["hue"] * (2 * uniform[3] - 1)
    found = np.empty_like(image)
    for row in range(SIZE):
        for column in range(SIZE):
            hue, saturation, value = colorsys.rgb_to_hsv(*image[row, column] / 255)
            found[row, column] = 255 * np.array(colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value))
    return found


@pytest.mark.parametrize("ranges", [
    {"brightness": .4, "contrast": .3, "saturation": .5, "hue": .1}, {"brightness": 1.5}, {"contrast": .9},
    {"saturation": 2.0}, {"hue": .5}])
def test_jitter_by_hand(ranges):
    options = dict(OFF, **ranges)
    uniform = np.random.RandomState(1).uniform(size=(7, 4)).astype(np.float32)
    uniform[0], uniform[1] = 0, 1
    found = run(lambda: augment_pipeline.jitter(tf.constant(IMAGES.astype(np.float32)), tf.constant(uniform), options))
    expected = [jitter_by_hand(image, row, options) for image, row in zip(IMAGES, uniform)]
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_grey_images_and_how_many():
    images = np.random.RandomState(2).randint(0, 256, (800, 2, 2, 3)).astype(np.uint8)
    found = run(lambda: augment(tf.constant(images), tf.constant(0, tf.int64), 0, False, 0, dict(OFF, grayscale=.3)))
    is_grey = (found == found[..., :1]).all(axis=(1, 2, 3))
    assert 0.24 < is_grey.mean() < 0.36
    np.testing.assert_array_equal(found[~is_grey], images[~is_grey])
    np.testing.assert_allclose(found[is_grey][..., 0], images[is_grey] @ [0.299, 0.587, 0.114], atol=1e-3)


def rotated_by_hand(image, angle):
    found, middle = np.zeros(image.shape), (SIZE - 1) / 2
    padded = np.pad(image.astype(float), [(SIZE - 1, SIZE - 1)] * 2 + [(0, 0)], mode="reflect")
    for row in range(SIZE):
        for column in range(SIZE):
            across, down = column - middle, row - middle
            x = math.cos(angle) * across - math.sin(angle) * down + middle + SIZE - 1
            y = math.sin(angle) * across + math.cos(angle) * down + middle + SIZE - 1
            left, top = int(math.floor(x)), int(math.floor(y))
            for dy in (0, 1):
                for dx in (0, 1):
                    share = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
                    found[row, column] += share * padded[top + dy, left + dx]
    return found


def test_rotation_by_hand():
    def rotated(uniform, degrees):
        return run(lambda: augment_pipeline.rotate(tf.constant(IMAGES.astype(np.float32)), tf.constant(
            np.array(uniform, np.float32)), degrees))
    uniform = np.linspace(0, 1, 7)  # from -35 to 35 degrees
    expected = [rotated_by_hand(image, math.radians(35 * (2 * u - 1))) for image, u in zip(IMAGES, uniform)]
    np.testing.assert_allclose(rotated(uniform, 35.0), expected, atol=0.02)
    np.testing.assert_allclose(rotated([1] * 7, 90.0), np.rot90(IMAGES, 1, (1, 2)), atol=0.02)


def rectangle(changed):
    """Return (height, width) of the changed pixels, which must fill a rectangle."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all()
    assert len(rows) == rows[-1] - rows[0] + 1 and len(columns) == columns[-1] - columns[0] + 1
    return len(rows), len(columns)


@pytest.mark.parametrize("area, aspect", [((.1, .3), (.5, 2.0)), ((.25, .25), (1.0, 1.0)), ((.9, 1.0), (.3, 3.3))])
def test_what_is_erased(area, aspect):
    size, count = 40, 300
    images = np.full((count, size, size, 3), 300, np.float32)  # no noise has this value
    options = dict(OFF, erasing=.4, erasing_area=list(area), erasing_aspect=list(aspect))
    found = run(lambda: augment(tf.constant(images), tf.constant(5, tf.int64), 0, False, 0, options))
    changed = (found != 300)
    assert (changed == changed[..., :1]).all()
    erased = [one[..., 0] for one in changed if one.any()]
    assert .32 < len(erased) / count < .48
    sides = np.array([rectangle(one) for one in erased])
    # Each side is rounded to whole pixels.
    assert (np.prod(sides + .501, axis=1) >= area[0] * size**2).all()
    assert (np.prod(np.maximum(sides - .501, 0), axis=1) <= area[1] * size**2).all()
    ratios = (sides[:, 0] / sides[:, 1])
    assert ratios.min() > max(aspect[0], area[0]) * .85 and ratios.max() < min(aspect[1], 1 / area[0]) * 1.15
    values = found[changed]
    assert values.min() >= 0 and values.max() < 255 and abs(values.mean() - 127.5) < 2
    if area[1] > area[0]:
        shares = np.prod(sides, axis=1) / size**2
        assert abs(shares.mean() - np.mean(area)) < .02  # uniform in the range
        tops = [np.flatnonzero(one.any(axis=1))[0] for one in erased]
        assert len(set(tops)) > 2


def test_labels_are_not_touched():
    table = ImageTable([str(i) for i in range(7)], {}, lambda i: IMAGES[i])

    class InOrder:
        def batch(self, step):
            return np.roll(np.arange(7), step)

        def class_rows(self, row):
            return np.array([row])

    loader = BatchLoader(table, {"label": np.arange(7)}, InOrder(), SIZE)
    with tf.Graph().as_default(), tf.Session() as session:
        images, labels = training_batches(loader, 0, 3, crop_padding=1, flip=True, seed=1, augmentation=ALL)
        for step in range(3):
            found, ids = session.run([images, labels["label"]])
            np.testing.assert_array_equal(ids, np.roll(np.arange(7), step))
            assert found.shape == (7, SIZE, SIZE, 3) and (found != IMAGES[ids]).any(axis=(1, 2, 3)).all()
