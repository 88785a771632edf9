import numpy as np

from slim_retrieval.losses.label_columns import tag_table


def test_tags_by_hand():
    tags, table = tag_table(["blue", "red| striped", "striped|blue|"])
    assert tags == ["blue", "red", "striped"]
    np.testing.assert_array_equal(table, [[1, 0, 0], [0, 1, 1], [1, 0, 1]])
