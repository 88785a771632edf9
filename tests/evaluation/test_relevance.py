import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.relevance import from_labels, from_lists


def test_labels_worked_by_hand():
    relevance = from_labels([5, 7, 9], [7, 5, 7, 8])
    assert relevance.num_positives.tolist() == [1, 2, 0] and relevance.num_gallery == 4
    hits, junk = relevance.judge(np.array([0, 1, 2]), np.array([[1, 0], [1, 2], [3, 0]]))
    assert hits.tolist() == [[True, False], [False, True], [False, False]]
    assert junk is None


def test_pad_is_neither_right_nor_junk():
    # The last gallery image has the query's label and is its own image: -1 as an index would reach it.
    relevance = from_labels([1], [0, 1], np.array([7]), np.array([6, 7]))
    hits, junk = relevance.judge(np.array([0]), np.array([[0, -1]]))
    assert not hits.any() and not junk.any()


def test_own_image_is_junk_and_no_positive():
    # Query 0 is gallery image 2; query 1 is not in the gallery.
    relevance = from_labels([3, 3], [3, 4, 3], np.array([10, 99]), np.array([8, 9, 10]))
    assert relevance.num_positives.tolist() == [1, 2]
    hits, junk = relevance.judge(np.array([0, 1]), np.array([[2, 0, 1], [2, 0, 1]]))
    assert hits.tolist() == [[False, True, False], [True, True, False]]
    assert junk.tolist() == [[True, False, False], [False, False, False]]


def test_labels_and_lists_agree_on_random_cases():
    rng = np.random.RandomState(0)
    for _ in range(50):
        query, gallery = rng.randint(4, size=6), rng.randint(4, size=9)
        images = rng.permutation(20)[:6], rng.permutation(20)[:9]
        own = [np.flatnonzero(images[1] == image) for image in images[0]]
        lists = [np.setdiff1d(np.flatnonzero(gallery == label), junk) for label, junk in zip(query, own)]
        by_labels = from_labels(query, gallery, *images)
        by_lists = from_lists(lists, own, 9)
        np.testing.assert_array_equal(by_labels.num_positives, by_lists.num_positives)
        rows = np.array([4, 0, 2])
        ranks = np.array([rng.permutation(10) - 1 for _ in rows])
        for left, right in zip(by_labels.judge(rows, ranks), by_lists.judge(rows, ranks)):
            left = np.zeros(ranks.shape, bool) if left is None else left
            right = np.zeros(ranks.shape, bool) if right is None else right
            np.testing.assert_array_equal(left, right)


def test_lists_against_sets():
    positives, junk = [[0, 3], [], [2]], [[1], [0, 1], []]
    relevance = from_lists(positives, junk, 4)
    assert relevance.num_positives.tolist() == [2, 0, 1]
    ranks = np.array([[3, 1, 0, 2], [0, 1, 2, -1], [2, 3, -1, -1]])
    hits, removed = relevance.judge(np.arange(3), ranks)
    for i in range(3):
        assert hits[i].tolist() == [r in positives[i] for r in ranks[i]]
        assert removed[i].tolist() == [r in junk[i] for r in ranks[i]]


@pytest.mark.parametrize("positives, junk, message", [
    ([[0, 4]], None, "positive id 4 of query 0 is not in 0..3"),
    ([[0], [-1]], None, "positive id -1 of query 1 is not in 0..3"),
    ([[0]], [[9]], "junk id 9 of query 0 is not in 0..3"),
    ([[0], [1, 2]], [[1], [2]], "gallery image 2 both positive and junk for query 1"),
    ([[0]], [[1], [2]], "positives for 1 queries and junk for 2"),
])
def test_lists_that_cannot_be_right(positives, junk, message):
    with pytest.raises(InputError) as error:
        from_lists(positives, junk, 4)
    assert message in str(error.value)
