import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.views import aggregate, resize, view_images

IMAGES = np.random.RandomState(0).randint(0, 256, (2, 20, 20, 3)).astype(np.float32)


def run(tensors):
    with tf.Session() as session:
        return session.run(tensors)


def by_pillow(image, height, width):
    return np.stack([Image.fromarray(image[..., c]).resize((width, height), Image.BILINEAR) for c in range(3)], 2)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("height, width", [(7, 7), (10, 10), (14, 9), (20, 20), (33, 12)])
def test_resize_is_pillows(height, width, known):
    images = tf.placeholder_with_default(IMAGES, [2, 20, 20, 3] if known else [None, None, None, 3])
    sizes = (height, width) if known else (tf.constant(height), tf.constant(width))
    found = run(resize(images, *sizes))
    assert found.shape == (2, height, width, 3)
    for image, other in zip(IMAGES, found):
        np.testing.assert_allclose(other, by_pillow(image, height, width), atol=1e-3)


def test_views_of_images_of_any_size():
    views = {"scales": [0.5, 1.0], "flip": False, "aggregate": "mean"}
    images = tf.placeholder_with_default(IMAGES[:, :14], [None, None, None, 3])
    half, full = run(view_images(images, 20, views))
    assert half.shape == (2, 7, 10, 3)
    np.testing.assert_allclose(half[1], by_pillow(IMAGES[1, :14], 7, 10), atol=1e-3)
    np.testing.assert_array_equal(full, IMAGES[:, :14])


def test_views_are_each_scale_and_its_mirror_image():
    views = {"scales": [0.5, 1.0], "flip": True, "aggregate": "mean"}
    found = run(view_images(tf.constant(IMAGES), 20, views))
    assert [v.shape[1] for v in found] == [10, 10, 20, 20]
    np.testing.assert_array_equal(found[2], IMAGES)
    for one, mirrored in ((found[0], found[1]), (found[2], found[3])):
        for column in range(one.shape[2]):
            np.testing.assert_array_equal(mirrored[:, :, column], one[:, :, one.shape[2] - 1 - column])


@pytest.mark.parametrize("how", ["mean", "max", "concatenate"])
def test_aggregates(how):
    vectors = np.random.RandomState(1).randn(3, 2, 4).astype(np.float32) * 5
    rows = []
    for image in range(2):
        units = [v[image] / np.sqrt(sum(x * x for x in v[image])) for v in vectors]
        rows.append({"mean": sum(units) / 3, "max": np.max(units, axis=0), "concatenate": np.concatenate(units)}[how])
    np.testing.assert_allclose(run(aggregate([tf.constant(v) for v in vectors], how)), rows, atol=1e-6)
    np.testing.assert_array_equal(run(aggregate([tf.constant(vectors[0])], how)), vectors[0])
