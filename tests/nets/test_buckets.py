import numpy as np
import pytest

from slim_retrieval.nets.buckets import by_size, keeping_aspect, shorter_sides, square


# Exact shorter sides: 224 * 480 / 640 = 168, 224 * 2 / 3 = 149.3, 224 * 9 / 16 = 126, 224 * 0.95 = 212.8.
@pytest.mark.parametrize("size, expected", [
    ((480, 640), (160, 224)), ((640, 480), (224, 160)), ((200, 300), (160, 224)), ((1600, 900), (224, 128)),
    ((500, 500), (224, 224)), ((950, 1000), (224, 224)), ((10, 1000), (32, 224)), ((7, 7), (224, 224))])
def test_the_longer_side_is_given_and_the_shorter_one_near_the_ratio(size, expected):
    assert keeping_aspect(224, 32)(*size) == expected
    assert square(224)(*size) == (224, 224)


def test_sides_that_are_no_multiple_and_networks_that_need_more():
    assert shorter_sides(100, 32) == [32, 64, 96, 100]
    assert shorter_sides(100, 32, smallest=75) == [96, 100]
    assert shorter_sides(20, 32) == [20]
    assert keeping_aspect(100, 32)(33, 33) == (100, 100)


def test_the_number_of_sizes_is_bounded():
    random, size_of = np.random.RandomState(0), keeping_aspect(224, 32)
    found = {size_of(*size) for size in random.randint(1, 2000, (2000, 2))}
    assert len(found) == 13 and all(max(size) == 224 and min(size) % 32 == 0 for size in found)


def test_images_are_grouped_by_size_each_once():
    sizes = [(4, 6), (6, 4), (4, 6), (4, 6), (6, 4), (6, 6), (4, 6)]
    images = [np.zeros(size + (3,), np.uint8) for size in sizes]
    assert by_size(images, 3) == [[0, 2, 3], [6], [1, 4], [5]]
    assert by_size([], 3) == []
