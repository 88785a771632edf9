import pickle

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.table import ImageTable, UnreadableImage, known_label_ids, label_ids


def _table():
    # Row i's image is 1 x 1 with the value i.
    return ImageTable(["a", "b", "c", "d"], {"label": ["x", "z", "y", "x"], "color": ["1", "1", "2", "2"]},
                      lambda i: np.full((1, 1, 3), i, np.uint8))


def test_subset_keeps_paths_columns_and_pixels_together():
    part = _table().subset([3, 1])
    assert len(part) == 2
    assert part.paths == ["d", "b"]
    assert part.columns == {"label": ["x", "z"], "color": ["2", "1"]}
    assert [part.load(i)[0, 0, 0] for i in range(2)] == [3, 1]


def test_subset_of_a_subset_reads_the_original_rows():
    part = _table().subset(np.array([3, 1, 0])).subset([2, 0])
    assert part.paths == ["a", "d"]
    assert [part.load(i)[0, 0, 0] for i in range(2)] == [0, 3]


def test_label_ids_number_the_sorted_names():
    ids, names = label_ids(_table())
    assert names == ["x", "y", "z"]
    assert ids.dtype == np.int32
    assert ids.tolist() == [0, 2, 1, 0]
    assert label_ids(_table(), "color")[0].tolist() == [0, 0, 1, 1]


def test_unknown_column_lists_the_known_ones():
    with pytest.raises(InputError) as info:
        label_ids(_table(), "lable")
    assert "'lable'" in str(info.value)
    assert "color, label" in str(info.value)
    assert "did you mean label" in str(info.value)


def test_a_column_of_another_length_is_refused_with_both_numbers():
    with pytest.raises(InputError, match="'label' has 1 values for 2 images"):
        ImageTable(["a", "b"], {"label": ["x"]}, None)


def test_unreadable_image_is_an_input_error_that_names_path_and_reason():
    error = UnreadableImage("some/file.jpg", "the file is empty")
    assert isinstance(error, InputError)
    assert str(error) == "cannot read image some/file.jpg: the file is empty"
    assert (error.path, error.reason) == ("some/file.jpg", "the file is empty")


def test_an_unreadable_image_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.png", "cut short")))
    assert (type(error), error.path, error.reason) == (UnreadableImage, "a.png", "cut short")
    assert str(error) == str(UnreadableImage("a.png", "cut short"))


def test_empty_cells_are_unknown_labels():
    table = ImageTable("abcd", {"label": ["b", "", "a", ""], "full": list("xyyx"), "empty": [""] * 4}, None)
    ids, names = known_label_ids(table)
    assert ids.tolist() == [1, -1, 0, -1] and names == ["a", "b"] and ids.dtype == np.int32
    assert known_label_ids(table, "full")[0].tolist() == [0, 1, 1, 0]
    assert known_label_ids(table, "empty")[0].tolist() == [-1] * 4 and known_label_ids(table, "empty")[1] == []
