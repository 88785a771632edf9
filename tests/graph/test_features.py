import numpy as np
import pytest

from slim_retrieval.common import feature_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features


def unit_rows(n, d, seed=0):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_good_features_stay_the_memory_map_that_they_were(tmp_path, capsys):
    np.save(str(tmp_path / "g.npy"), unit_rows(30, 5))
    loaded = feature_files.load(str(tmp_path / "g.npy"), "gallery")
    assert isinstance(loaded, np.memmap) and not loaded.flags.writeable
    assert features.check_features(loaded, "gallery") is loaded
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, ">f4"])
def test_other_features_are_converted_and_the_input_is_left_alone(dtype, capsys):
    given = np.array([[3, 4], [0, -2]], dtype)
    before = given.copy()
    result = features.check_features(given, "gallery")
    assert result.dtype == np.float32 and result.dtype.isnative
    np.testing.assert_allclose(result, [[0.6, 0.8], [0, -1]], atol=1e-7)
    np.testing.assert_array_equal(given, before)
    assert capsys.readouterr().out.startswith("gallery features: converted from {}".format(np.dtype(dtype)))


def test_rows_near_the_ends_of_float64_are_normalised():
    result = features.check_features(np.array([[1e200, 1e200], [1e-200, 0]]), "query")
    np.testing.assert_allclose(result, [[0.5 ** 0.5, 0.5 ** 0.5], [1, 0]], rtol=1e-6)


def test_conversion_in_blocks_equals_conversion_at_once(monkeypatch):
    given = np.random.RandomState(0).randn(23, 4)
    monkeypatch.setattr(features, "BLOCK_VALUES", 20)
    expected = [row / sum(x * x for x in row) ** 0.5 for row in given]
    np.testing.assert_allclose(features.check_features(given, "g"), expected, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_name_the_first_row_and_their_number(value, monkeypatch):
    monkeypatch.setattr(features, "BLOCK_VALUES", 12)
    rows = unit_rows(10, 4)
    rows[7, 1] = rows[9, 0] = value
    with pytest.raises(InputError, match=r"gallery features: row 7 holds NaN or infinity \(2 of 10 rows do\)"):
        features.check_features(rows, "gallery")


def test_a_zero_row_is_refused():
    rows = unit_rows(6, 4)
    rows[4] = 0
    with pytest.raises(InputError, match=r"query features: row 4 is all zeros \(1 of 6 rows are\)"):
        features.check_features(rows, "query")


@pytest.mark.parametrize("shape", [(4,), (0, 3), (3, 0), (2, 3, 4)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(InputError, match="gallery features have the shape .*" + str(list(shape))[1:-1]):
        features.check_features(np.ones(shape, np.float32), "gallery")


def test_types_that_are_no_real_numbers_are_refused():
    with pytest.raises(InputError, match="complex128"):
        features.check_features(np.ones((2, 2), complex), "gallery")
    with pytest.raises(InputError, match="<U1"):
        features.check_features(np.array([["a", "b"]]), "gallery")


def test_widths_that_differ_show_both_shapes():
    with pytest.raises(InputError, match=r"query features have the shape \[2, 3\] and gallery features \[5, 4\]"):
        features.check_same_width(np.ones((2, 3)), np.ones((5, 4)))
    with pytest.raises(InputError, match="equally long, so save both transposed if they hold a column for each image"):
        features.check_same_width(np.ones((64, 3)), np.ones((64, 4)))


def test_normalise_rows_leaves_rows_of_zeros():
    rows = np.array([[3, 4], [0, 0]], np.float32)
    assert features.normalise_rows(rows) is rows
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-7)
