import numpy as np
import pytest

from slim_retrieval.common import jobs
from slim_retrieval.graph import knn, knn_tasks, ranking

GALLERY = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)


def test_rank_is_best_first_and_padded():
    np.testing.assert_array_equal(ranking.rank(GALLERY[[0, 1]], GALLERY, 4), [[0, 2, 1, -1], [1, 2, 0, -1]])
    assert ranking.rank(GALLERY, GALLERY, 2).dtype == np.int32


def test_tasks_rank_the_same_and_those_that_are_done_are_not_done_again(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    queries, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (
        random.randn(count, 8).astype(np.float32) for count in (50, 30)))
    expected = ranking.rank(queries, gallery, 7, 4)
    monkeypatch.setattr(knn_tasks, "ROWS", 10)  # two blocks of 4 queries a task
    jobs.choose("threading", str(tmp_path), workers=1)
    try:
        search, calls = knn.search, []

        def killed(*arguments):
            calls.append(len(arguments[0]))
            if len(calls) == 3:
                raise KeyError("killed")
            return search(*arguments)

        monkeypatch.setattr(knn, "search", killed)
        with pytest.raises(KeyError, match="killed"):
            ranking.rank(queries, gallery, 7, 4)
        calls = [None] * 3
        np.testing.assert_array_equal(ranking.rank(queries, gallery, 7, 4), expected)
    finally:
        jobs.choose("serial", None)
    assert calls[3:] == [8, 8, 8, 8, 2] and not (tmp_path / "tasks").exists()


def test_default_depth():
    assert [ranking.default_depth(n) for n in (1, 10000, 10001, 10**6)] == [1, 10000, 1000, 1000]
