import itertools

import numpy as np
import pytest

from slim_retrieval.common import partition


def slow_agreement(first, second):
    both = either = 0
    for i, j in itertools.combinations(range(len(first)), 2):
        if min(first[i], first[j], second[i], second[j]) < 0:
            continue
        a, b = first[i] == first[j], second[i] == second[j]
        both, either = both + (a and b), either + (a or b)
    return both / either if either else 0.0


def test_codes_number_texts_by_first_appearance_and_leave_empty_ones_unknown():
    np.testing.assert_array_equal(partition.codes(["b", "", "a", "b", ""]), [0, -1, 1, 0, -1])
    assert partition.codes([]).shape == (0,)


@pytest.mark.parametrize("block", [2, 4096])
def test_equal_rows_have_equal_codes_and_zeros_none(block, monkeypatch):
    monkeypatch.setattr(partition, "BLOCK", block)
    rows = np.array([[1, 2], [0, 0], [1, 2], [2, 1], [1, 2]], np.float32)
    np.testing.assert_array_equal(partition.row_codes(rows), [0, -1, 0, 1, 0])


@pytest.mark.parametrize("seed", range(5))
def test_agreement_equals_counting_pairs(seed):
    random = np.random.RandomState(seed)
    first, second = random.randint(-1, 3, 40), random.randint(-1, 5, 40)
    assert partition.agreement(first, second) == pytest.approx(slow_agreement(first, second), abs=1e-12)


def test_agreement_knows_the_partition_not_the_names():
    first = np.array([0, 0, 1, 1, 2, -1])
    assert partition.agreement(first, np.array([7, 7, 3, 3, 5, 0])) == 1
    assert partition.agreement(first, np.array([0, 0, 0, 0, 0, 0])) == 2 / 10  # coarser: 2 of the 10 pairs of 5 images
    assert partition.agreement(first, np.arange(6)) == 0  # all different: no pair is joined by both
    assert partition.agreement(np.arange(6), np.arange(6)) == 0  # and nothing is given away


def test_only_images_of_evaluated_classes_count():
    gallery = ["a", "a", "b", "b", "c", "c"]
    column = np.array([-1, -1, 0, 1, 2, 2])
    assert partition.agreement_with_truth(column, ["a"], gallery) == 0  # knows nothing about class a
    assert partition.agreement_with_truth(column, ["c", "c"], gallery) == 1
    assert partition.agreement_with_truth(column, ["b", "c"], gallery) == 1 / 2


@pytest.mark.parametrize("share, column, expected", [(0.9, True, True), (0.89, True, False), (0.99, False, False),
                                                     (1.0, False, True), (1.0, True, True), (0.0, False, False)])
def test_what_is_too_much(share, column, expected):
    assert partition.is_truth(share, column) is expected
