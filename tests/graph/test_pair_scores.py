import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import pair_scores

PATHS = ["a.jpg", "b.jpg", "sub/c.jpg", "3"]


def graph(pairs, n=4):
    dense = np.zeros((n, n), np.float32)
    for (i, j), value in pairs.items():
        dense[i, j] = dense[j, i] = value
    return sparse.csr_matrix(dense)


EDGES = {(0, 1): .5, (0, 2): .75, (2, 3): .25}


def read(tmp_path, text, rows=4, paths=None):
    (tmp_path / "s.csv").write_text(text)
    return pair_scores.read(str(tmp_path / "s.csv"), rows, paths)


def test_rows_and_paths(tmp_path):
    expected = [[0, 2, 3], [1, 0, 2], [5, 0.5, 0]]
    for text, paths in (("a,b,score\n0,1,5\n2,0,.5\n\n3,2,0\n", None),
                        ("a,b,score\na.jpg,b.jpg,5\nsub/c.jpg,a.jpg,0.5\n3,2,0e1\n", PATHS)):
        found = read(tmp_path, text, paths=paths)
        np.testing.assert_allclose(found, expected)
        assert [part.dtype for part in found] == [np.int64, np.int64, np.float32]
    # The path "3" is row 3 of the index, here shifted: paths come before row numbers.
    assert read(tmp_path, "a,b,score\n3,0,1\n", paths=["x", "3", "y", "z"])[0][0] == 1


def test_npz_is_the_same(tmp_path):
    path = str(tmp_path / "s.npz")
    np.savez(path, rows=np.array([0, 2]), cols=np.array([1, 0], np.int32), scores=np.array([5, .5]))
    np.testing.assert_allclose(pair_scores.read(path, 4), [[0, 2], [1, 0], [5, .5]])


@pytest.mark.parametrize("text, message", [
    ("x,y,score\n0,1,2\n", "line 1 is x,y,score; expected a,b,score"),
    ("", "line 1 is empty; expected a,b,score"),
    ("a,b,score\n0,1,2\n0,9,1\n", "line 3: '9' is no row number from 0 to 3"),
    ("a,b,score\n0,1,2\n0,-1,1\n", "line 3: '-1' is no row number"),
    ("a,b,score\nq.jpg,1,2\n", "line 2: 'q.jpg' is no row number from 0 to 3; paths need the gallery's index"),
    ("a,b,score\n0,1,2\n1,2,nan\n", "line 3: the score 'nan' is not a finite number of at least 0"),
    ("a,b,score\n0,1,-2\n", "line 2: the score '-2'"),
    ("a,b,score\n0,1,inf\n", "line 2: the score 'inf'"),
    ("a,b,score\n0,1,many\n", "line 2: the score 'many'"),
    ("a,b,score\n0,1\n", "line 2: 2 values; expected a,b,score"),
    ("a,b,score\n\n\n0,1,2,3\n", "line 4: 4 values")])
def test_the_first_offending_line_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match="side.pair_scores: .*s.csv " + message):
        read(tmp_path, text)


def test_a_path_that_the_index_lacks(tmp_path):
    with pytest.raises(InputError, match="line 3: 'q.jpg' is no row number from 0 to 3 and no path in the gallery's"):
        read(tmp_path, "a,b,score\na.jpg,3,1\nq.jpg,3,1\n", paths=PATHS)


@pytest.mark.parametrize("arrays, message", [
    ({"rows": [0]}, r"is no .npz file with rows, cols and scores"),
    ({"rows": [0, 1], "cols": [1], "scores": [1.0]}, r"has rows \[2\] int64, cols \[1\]"),
    ({"rows": [0.5], "cols": [1], "scores": [1.0]}, r"has rows \[1\] float64"),
    ({"rows": [0, 1], "cols": [1, 4], "scores": [1.0, 1.0]}, r"pair 1 is \(1, 4, 1.0\); the gallery has the rows 0 to"),
    ({"rows": [0, 1], "cols": [1, 2], "scores": [1, -1]}, r"pair 1 is \(1, 2, -1.0\); scores are finite and at least"),
    ({"rows": [0, 1], "cols": [1, 2], "scores": [1, np.nan]}, r"pair 1 is \(1, 2, nan\); scores are finite")])
def test_npz_that_cannot_be_used(tmp_path, arrays, message):
    np.savez(str(tmp_path / "s.npz"), **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(InputError, match="side.pair_scores: .*s.npz " + message):
        pair_scores.read(str(tmp_path / "s.npz"), 4)


def test_other_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="no file .*absent.csv"):
        pair_scores.read(str(tmp_path / "absent.csv"), 4)
    (tmp_path / "s.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is no .npz file"):
        pair_scores.read(str(tmp_path / "s.npz"), 4)
    (tmp_path / "s.csv").write_bytes(b"a,b,score\n\xff,1,1\n")
    with pytest.raises(InputError, match="is no CSV file in UTF-8"):
        pair_scores.read(str(tmp_path / "s.csv"), 4)


@pytest.mark.parametrize("kind, expected", [
    # Scores 3 and 6 for 0-1 (the larger counts), 9 for 0-3, 0 for 0-2; of a scale of 8: .75, 1 and 0.
    ("add", {(0, 1): .75, (0, 2): .75, (2, 3): .25, (0, 3): 1}),
    ("replace", {(0, 1): .75, (2, 3): .25, (0, 3): 1}),
    ("multiply", {(0, 1): .375, (2, 3): .25})])
def test_combine_by_hand(kind, expected):
    pairs = np.array([0, 1, 3, 2, 2]), np.array([1, 0, 0, 0, 2]), np.array([3, 6, 9, 0, 5], np.float32)
    matrix = graph(EDGES)
    found = pair_scores.combine(matrix, pairs, kind, 8.0)
    np.testing.assert_allclose(found.toarray(), graph(expected).toarray(), atol=1e-7)
    assert found.nnz == 2 * len(expected) and found.dtype == np.float32 and found.has_sorted_indices
    np.testing.assert_array_equal(matrix.toarray(), graph(EDGES).toarray())


@pytest.mark.parametrize("kind", sorted(pair_scores.KINDS))
def test_no_pairs_change_nothing(kind):
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    np.testing.assert_array_equal(pair_scores.combine(graph(EDGES), nothing, kind).toarray(), graph(EDGES).toarray())


def test_an_unknown_use():
    with pytest.raises(InputError, match="unknown use of pair scores 'ad' .did you mean add.*known: add, multiply"):
        pair_scores.combine(graph(EDGES), (np.zeros(0),) * 3, "ad")


def test_groups_are_what_positive_scores_join():
    pairs = np.array([0, 1, 3]), np.array([1, 2, 4]), np.array([1, 1, 0], np.float32)
    found = pair_scores.groups(pairs, 6)
    assert found[0] == found[1] == found[2] and len(set(found[2:])) == 4
