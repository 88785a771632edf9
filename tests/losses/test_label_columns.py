import numpy as np

from slim_retrieval.losses.label_columns import tag_table, without_empty


def test_empty_cells_are_minus_one():
    ids, names = without_empty(np.array([2, 0, 1, 0], np.int32), ["", "a", "b"])
    assert list(ids) == [1, -1, 0, -1] and names == ["a", "b"] and ids.dtype == np.int32
    ids, names = without_empty(np.array([1, 0], np.int32), ["a", "b"])
    assert list(ids) == [1, 0] and names == ["a", "b"]


def test_tags_by_hand():
    tags, table = tag_table(["blue", "red| striped", "striped|blue|"])
    assert tags == ["blue", "red", "striped"]
    np.testing.assert_array_equal(table, [[1, 0, 0], [0, 1, 1], [1, 0, 1]])
