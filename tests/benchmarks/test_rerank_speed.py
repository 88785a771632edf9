import csv

import dense_k_reciprocal
import galleries
import numpy as np
import pytest
import rerank_speed
import truncated_diffusion

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.machine import Stopwatch
from slim_retrieval.graph import knn


def small_set(n=150, d=24):
    features, labels = rerank_speed.random_set(n, d, classes=8, seed=3)
    return features / np.linalg.norm(features, axis=1, keepdims=True), labels


@pytest.mark.parametrize("distances", [dense_k_reciprocal.by_products, dense_k_reciprocal.by_cdist])
def test_the_dense_form_ranks_as_ours(distances):
    """The same rankings but for images whose distances are within rounding of each other."""
    features, _ = small_set()
    original = distances(features)
    expected = dense_k_reciprocal.distances(original, np.argsort(original, axis=1), 30)[:, 30:]
    theirs = rerank_speed.dense(distances)(features, 30, Stopwatch())
    ours = rerank_speed.k_reciprocal(features, 30, Stopwatch())
    for ranks in (theirs, ours):
        np.testing.assert_array_equal(np.sort(ranks, axis=1), [np.arange(120)] * 30)
        assert np.diff(np.take_along_axis(expected, ranks, axis=1), axis=1).min() > -1e-6
    assert np.mean(ours == theirs) > 0.98


@pytest.mark.parametrize("form", ["scores", "scores_as_published"])
def test_truncated_scores_equal_dense_solutions(form):
    """With many steps the scores solve each image's own system, worked out here on dense arrays."""
    features, _ = small_set(60)
    ids, similarities = knn.search(features, features, 25)
    near = [set(row[:8]) for row in ids]
    affinity = np.array([[max(0, features[i] @ features[j]) ** 3 if i != j and j in near[i] and i in near[j] else 0
                          for j in range(60)] for i in range(60)])
    scale = 1 / np.sqrt(affinity.sum(axis=1) + 1e-12)
    laplacian = np.eye(60) - 0.5 * scale[:, None] * affinity * scale
    got = getattr(truncated_diffusion, form)(ids, similarities, k=8, alpha=0.5).toarray()
    for i, row in enumerate(ids):
        solved = np.linalg.solve(laplacian[np.ix_(row, row)], np.eye(25)[0])
        np.testing.assert_allclose(got[i, row], solved / np.linalg.norm(solved), atol=1e-5)
        assert np.count_nonzero(got[i]) <= 25


def test_map_counts_what_was_never_returned_as_zero():
    labels = np.array([0, 0, 1, 0])
    ranks = np.array([[1, 2], [2, 0], [0, 1], [2, 1]])  # AP: 1/2 of 2, 1/2 * 1/2, no positive, 1/2 * 1/2
    assert rerank_speed.mean_average_precision(ranks, labels, labels, 1) == pytest.approx((0.5 + 0.25 + 0.25) / 3)


def test_the_command_writes_a_row_for_each_method_and_stage(tmp_path, capfd):
    features, labels = small_set(80)
    np.savez(str(tmp_path / "set.npz"), features=features, labels=labels)
    rerank_speed.main(["--features", str(tmp_path / "set.npz"), "--output", str(tmp_path / "out.csv"),
                       "--queries", "20", "--only", "k_reciprocal", "--repeats", "1"])
    with open(str(tmp_path / "out.csv")) as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == rerank_speed.COLUMNS and not any(row["note"] for row in rows)
    methods = ["k_reciprocal", "dense_k_reciprocal", "dense_k_reciprocal_cdist"]
    assert [row["method"] for row in rows] == [m + part for m in methods for part in ("", ":graph", ":rerank")]
    assert len({row["mAP"] for row in rows if row["mAP"]}) == 1 and rows[0]["n"] == "80" and rows[0]["d"] == "24"
    assert "dense_k_reciprocal / k_reciprocal: memory x" in capfd.readouterr().out


def test_dense_forms_that_do_not_fit_are_left_out_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(rerank_speed, "run", lambda *_: {"n": 300, "d": 1280, "seconds": 1, "stages": {"graph": 1},
                                                         "peak_mb": 5, "mAP": 0.5})
    rerank_speed.main(["--output", str(tmp_path / "out.csv"), "--queries", "20", "--only", "k_reciprocal", "--sizes",
                       "200", "300", "--most_gib", str(20 * 250 ** 2 / 2**30)])
    with open(str(tmp_path / "out.csv")) as stream:
        rows = [row for row in csv.DictReader(stream) if ":" not in row["method"]]
    found = [(row["method"], row["n"], row["note"][:8]) for row in rows]
    assert found[3:] == [("k_reciprocal", "300", ""), ("dense_k_reciprocal", "300", "left out"),
                         ("dense_k_reciprocal_cdist", "300", "left out")] and not any(note for *_, note in found[:3])


def test_the_best_of_each_stage_counts(tmp_path, monkeypatch):
    runs = [{"stages": {"graph": 2, "ranking": 5}, "peak_mb": 7, "mAP": 0.5},
            {"stages": {"graph": 3, "ranking": 1}, "peak_mb": 6, "mAP": 0.5}]
    left = list(runs)
    monkeypatch.setattr(rerank_speed.subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(rerank_speed.files, "read_json", lambda _: left.pop(0))
    assert rerank_speed.run("cfa", str(tmp_path), 10, 2) == {
        "stages": {"graph": 2, "ranking": 1}, "seconds": 3, "peak_mb": 7, "mAP": 0.5}


def test_too_many_queries_are_refused(tmp_path):
    np.save(str(tmp_path / "f.npy"), small_set(20)[0])
    with pytest.raises(SystemExit) as error:
        rerank_speed.main(["--features", str(tmp_path / "f.npy"), "--queries", "20"])
    assert error.value.code == 2


def test_an_archive_without_features_is_refused(tmp_path):
    np.savez(str(tmp_path / "f.npz"), feature=np.eye(3))
    with pytest.raises(InputError, match="unknown array in .* 'features' .did you mean feature"):
        galleries.load(str(tmp_path / "f.npz"))
