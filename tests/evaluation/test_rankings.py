import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import rankings

GOOD = [[0, 2, 1], [1, 0, -1], [-1, -1, -1]]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", ">i4"])
def test_good_ranking_is_returned_as_it_is(tmp_path, dtype):
    path = str(tmp_path / "r.npy")
    np.save(path, np.array(GOOD, dtype))
    loaded = rankings.load(path, 3, 3)
    assert isinstance(loaded, np.memmap)
    np.testing.assert_array_equal(loaded, GOOD)


def test_unsigned_ids_without_pads(tmp_path):
    np.save(str(tmp_path / "r.npy"), np.array([[0, 1]], np.uint32))
    np.testing.assert_array_equal(rankings.load(str(tmp_path / "r.npy"), 1, 2), [[0, 1]])


@pytest.mark.parametrize("ranks, message", [
    ([[0, 1, 2], [0, 1, 3]], "query 1 ranks id 3, but the gallery has ids 0 to 2"),
    ([[0, 1, 2], [0, 1, -2]], "query 1 ranks id -2, but the gallery has ids 0 to 2"),
    ([[0, 1, 2], [0, -1, 2]], "query 1 has id 2 behind a -1 pad at place 1; pads belong at the end"),
    ([[0, 1, 2], [2, 1, 2]], "query 1 ranks id 2 more than once"),
    # A short ranking padded with copies of its first id.
    ([[0, 1, 2], [1, 1, 1]], "query 1 ranks id 1 more than once"),
    ([[0, 1, 2]], "ranks 1 queries, the ground truth has 2; both must list the same ones in the same order"),
    # revisitop's ranks have a column for each query.
    ([[0, 1], [1, 2], [2, 0]], "ranks 3 queries, the ground truth has 2; it has a column for each query: save it tra"),
])
def test_impossible_rankings(tmp_path, monkeypatch, ranks, message):
    np.save(str(tmp_path / "r.npy"), np.array(ranks, np.int32))
    for places in (2 ** 21, 3):  # all at once; one row at a time
        monkeypatch.setattr(rankings, "PLACES_PER_BLOCK", places)
        with pytest.raises(InputError) as error:
            rankings.load(str(tmp_path / "r.npy"), 2, 3)
        assert message in str(error.value) and "r.npy" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("array, message", [
    (np.zeros((2, 3), np.float32), "expected whole numbers of shape [queries, k], got float32 [2, 3]"),
    (np.zeros(3, np.int32), "got int32 [3]"),
    (np.zeros((2, 0), np.int32), "got int32 [2, 0]"),
    (np.array([[None]]), "is not a whole .npy array"),  # pickled: never loaded
])
def test_arrays_that_are_no_rankings(tmp_path, array, message):
    np.save(str(tmp_path / "r.npy"), array)
    with pytest.raises(InputError) as error:
        rankings.load(str(tmp_path / "r.npy"), 2, 3)
    assert message in str(error.value)


def test_files_that_are_no_arrays(tmp_path):
    with pytest.raises(InputError, match="no ranking .*missing.npy"):
        rankings.load(str(tmp_path / "missing.npy"), 1, 1)
    (tmp_path / "text.npy").write_text("0 1 2")
    (tmp_path / "empty.npy").write_text("")
    np.save(str(tmp_path / "cut.npy"), np.zeros((9, 9), np.int32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-40])
    for name in ("text.npy", "empty.npy", "cut.npy"):
        with pytest.raises(InputError, match=name + " is not a whole .npy array"):
            rankings.load(str(tmp_path / name), 9, 9)
    np.savez(str(tmp_path / "r.npz"), a=np.zeros(1))
    with pytest.raises(InputError, match="got an .npz archive"):
        rankings.load(str(tmp_path / "r.npz"), 1, 1)
