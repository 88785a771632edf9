"""Random resized crops, and options of augmentation that are none."""
import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.augmentation import OFF, check_augmentation, is_whole, random_boxes
from slim_retrieval.datasets.images import resize
from slim_retrieval.datasets.loader import BatchLoader
from slim_retrieval.datasets.table import ImageTable
from slim_retrieval.datasets.training_set import training_loader

PIXELS = np.random.RandomState(0).randint(0, 256, (4, 20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("area, aspect", [((.2, 1), (3 / 4, 4 / 3)), ((.5, .5), (1, 1)), ((.08, .3), (.2, 5))])
def test_boxes_lie_in_the_image_with_area_and_aspect_in_range(area, aspect):
    boxes = random_boxes(3, 7, 4000, area, aspect)
    assert boxes.min() >= 0 and boxes.max() <= 1
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, ratios = widths * heights, widths / heights
    assert areas.min() > area[0] - 1e-9 and areas.max() < area[1] + 1e-9
    assert ratios.min() > aspect[0] - 1e-9 and ratios.max() < aspect[1] + 1e-9
    assert abs(areas.mean() - np.mean(area)) < .02 * (area[1] - area[0]) + 1e-9  # uniform
    assert abs(np.log(ratios).mean()) < .05  # log-uniform about 1
    free = 1 - widths > .05
    assert abs((boxes[free, 0] / (1 - widths[free])).mean() - .5) < .03


def test_a_box_is_a_function_of_seed_step_and_place():
    area, aspect = [.2, 1], [.75, 1.33]
    boxes = random_boxes(3, 7, 10, area, aspect)
    np.testing.assert_array_equal(boxes[:4], random_boxes(3, 7, 4, area, aspect))
    for other in (random_boxes(4, 7, 10, area, aspect), random_boxes(3, 8, 10, area, aspect)):
        assert (boxes != other).any(axis=1).all()
    np.testing.assert_allclose(random_boxes(3, 7, 2, [1, 1], [2, 3]), [[0, 0, 1, 1]] * 2)  # no other fits
    assert is_whole(OFF["crop_area"], OFF["crop_aspect"]) and not is_whole([.5, 1], [1, 1])


def test_a_box_is_cut_out_before_the_image_is_resized():
    image = PIXELS[0]
    box = np.array([6 / 30, 5 / 20, 21 / 30, 15 / 20])
    expected = np.array(Image.fromarray(image[5:15, 6:21]).resize((8, 8), Image.BILINEAR))
    found = resize(image, 8, box=box)
    # At the box's edge the pixels beyond it count too, where a cut-out image has none.
    assert np.abs(found.astype(int) - expected)[1:-1, 1:-1].max() <= 1
    np.testing.assert_array_equal(resize(image, 8, box=[0, 0, 1, 1]), resize(image, 8))


class _Rows:
    def batch(self, step):
        return np.array([2, 0, 1, 3])

    def class_rows(self, row):
        return np.array([row])


def test_the_loader_shows_each_image_through_its_box_and_a_part_has_its_own():
    table = ImageTable([str(i) for i in range(4)], {}, lambda i: PIXELS[i])

    def boxes(step, count):
        return random_boxes(0, step, count, [.2, .8], [.8, 1.2])

    loader = BatchLoader(table, {"label": np.arange(4)}, _Rows(), 6, boxes)
    images, labels = loader.load(5)
    expected = [resize(PIXELS[row], 6, box=box) for row, box in zip([2, 0, 1, 3], boxes(5, 4))]
    np.testing.assert_array_equal(images, expected)
    assert labels["label"].tolist() == [2, 0, 1, 3]
    np.testing.assert_array_equal(loader.part(1, 3).load(5)[0], expected[1:3])


@pytest.mark.parametrize("changes, message", [
    ({"crop_area": [.5]}, r"crop_area: \[0.5\] is no range"), ({"crop_area": [.8, .5]}, "crop_area"),
    ({"crop_area": [0, 1]}, "0 < from"), ({"crop_aspect": [0, 1]}, "crop_aspect"),
    ({"erasing_area": [.1, 1.5]}, "to <= 1"), ({"erasing_aspect": [2, 1]}, "erasing_aspect")])
def test_ranges_that_are_none(changes, message):
    check_augmentation(OFF)
    table = ImageTable(["a"], {"label": ["x"]}, None)
    with pytest.raises(InputError, match=message):
        training_loader(table, ["label"], {
            "data": {"augmentation": dict(OFF, **changes)}, "losses": [{}], "run": {"seed": 0}, "model": {
                "image_size": 8}, "training": {"sampler": "uniform", "category": "", "batch_size": 1,
                                               "classes_per_batch": 1, "images_per_class": 1,
                                               "unlabelled_per_batch": 0}})
