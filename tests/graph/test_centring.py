import numpy as np
import pytest

from slim_retrieval.graph import centring, knn


def rows_of(n=50, d=6, common=2.0, seed=0):
    rows = np.random.RandomState(seed).randn(n, d) + common
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("common, expected", [(0.0, False), (2.0, True)])
def test_a_mean_is_taken_away_only_where_it_is_large(common, expected):
    rows = rows_of(common=common)
    assert (np.linalg.norm(rows.mean(axis=0)) >= 0.3) == expected
    mean = centring.choose(rows)
    if expected:
        np.testing.assert_allclose(mean, rows.mean(axis=0, dtype=np.float64), atol=1e-6)
        moved = rows - rows.mean(axis=0)
        np.testing.assert_allclose(centring.apply(rows, mean), moved / np.linalg.norm(moved, axis=1, keepdims=True),
                                   atol=1e-5)
    else:
        assert mean is None and centring.apply(rows, mean) is rows


def test_one_image_and_an_image_that_is_the_mean_stay_as_they_are():
    assert centring.choose(np.eye(1, 4, dtype=np.float32)) is None
    rows = np.float32([[1, 0], [0.6, 0.8], [0.6, -0.8]])
    moved = centring.apply(rows, np.float32([1, 0]))
    np.testing.assert_array_equal(moved[0], [1, 0])
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-6)


def test_blocks_and_memory_maps_give_the_same(tmp_path, monkeypatch):
    rows = rows_of()
    np.save(str(tmp_path / "rows.npy"), rows)
    mapped = np.load(str(tmp_path / "rows.npy"), mmap_mode="r")
    expected = centring.apply(rows, centring.choose(rows))
    monkeypatch.setattr("slim_retrieval.graph.features.BLOCK_VALUES", 40)
    np.testing.assert_allclose(centring.apply(mapped, centring.choose(mapped)), expected, atol=1e-6)


def test_neighbours_must_be_of_these_features():
    rows = rows_of()
    near = knn.neighbors(rows, 4)
    assert centring.neighbors_of(near, rows) is near
    assert centring.neighbors_of(near, centring.apply(rows, centring.choose(rows))) is None
    assert centring.neighbors_of(near, rows[:40]) is None and centring.neighbors_of(None, rows) is None
    pads = np.full((50, 4), -1, np.int32), np.full((50, 4), -1, np.float32)
    assert centring.neighbors_of(pads, rows) is pads
