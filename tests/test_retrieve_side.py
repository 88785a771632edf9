"""retrieve.py with side information, as a user calls it, and eval_map.py on what it wrote."""
import json
import os

import numpy as np
import pytest

from slim_retrieval.commands import eval_map, retrieve
from slim_retrieval.common import files, runs
from slim_retrieval.common.config import resolve
from slim_retrieval.graph import pipeline

LABELS = ["a", "a", "b", "b", "c", "c", "d", "d"]
CATEGORY = ["x", "x", "x", "", "y", "y", "y", "y"]  # two classes each


def rows(n, d=5, seed=0):
    array = np.random.RandomState(seed).randn(n, d)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a run of 4 queries and 8 gallery images, and the same features as files."""
    run = tmp_path / "runs" / "demo"
    for split, labels, category, seed in (("query", list("abcd"), [""] * 4, 0), ("gallery", LABELS, CATEGORY, 1)):
        (run / "features" / split).mkdir(parents=True)
        np.save(str(run / "features" / split / "features.npy"), rows(len(labels), seed=seed))
        np.save(str(tmp_path / (split + ".npy")), rows(len(labels), seed=seed))
        np.save(str(tmp_path / ("edge_" + split + ".npy")), rows(len(labels), 3, seed=seed + 2))
        lines = ["{}{}.jpg,{},{}\n".format(split, i, *both) for i, both in enumerate(zip(labels, category))]
        (run / "features" / split / "index.csv").write_text("path,label,category\n" + "".join(lines))
        files.write_json(str(run / "features" / split / "meta.json"),
                         {"features_hash": files.digest(rows(len(labels), seed=seed))})
    runs.save_config(str(run), resolve(None, {"run.name": "demo"}))
    runs.point_latest(str(run))
    truth = ["query,q{},{}".format(i, x) for i, x in enumerate("abcd")]
    truth += ["gallery,g{},{}".format(i, x) for i, x in enumerate(LABELS)]
    (tmp_path / "truth.csv").write_text("split,path,label\n" + "\n".join(truth) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def handed(monkeypatch):
    """Stands in for the pipeline and keeps what it was handed."""
    seen = {}

    def ranked(name, config, query, gallery, train, folder, **more):
        seen.update(more)
        ranks = np.tile(np.arange(len(gallery.features), dtype=np.int32), (len(query.features), 1))
        return ranks, {"method": name, "k": ranks.shape[1], "seconds": 0.1, "peak_memory_mb": 1,
                       "features_hash": {"query": query.features_hash, "gallery": gallery.features_hash}}
    monkeypatch.setattr(pipeline, "retrieve", ranked)
    return seen


FILES = ["--query", "query.npy", "--gallery", "gallery.npy", "--output", "out", "--method", "cfa"]
EDGES = ["--edge_features", "edge_gallery.npy", "--query_edge_features", "edge_query.npy"]


def fails(capsys, main, argv):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1
    return error


def test_without_side_information_nothing_is_handed_over_or_recorded(folder, handed):
    retrieve.main(["--method", "cfa"])
    assert handed == {} and "side_information" not in files.read_json("runs/demo/rankings/cfa.json")


def test_a_column_of_the_run_is_used_recorded_and_passes_the_evaluation(folder, handed, capsys):
    retrieve.main(["--method", "cfa", "--side.labels", "category", "--side.denoise", "rank", "--side.trust", "1"])
    np.testing.assert_array_equal(handed["side"].labels, [0, 0, 0, -1, 1, 1, 1, 1])
    assert handed["side"].denoise == "rank" and handed["edges"] is None
    used = files.read_json("runs/demo/rankings/cfa.json")["side_information"]
    assert used["settings"]["trust"] == 1 and used["sources"][0]["column"] == "category"
    assert used["sources"][0]["known"] == 7 / 8 and os.path.isabs(used["sources"][0]["path"])
    with np.load(os.path.join("runs/demo/rankings", used["codes"])) as stored:
        np.testing.assert_array_equal(stored["0"], [0, 0, 0, -1, 1, 1, 1, 1])
    eval_map.main(["--no-report"])
    assert files.read_json("runs/demo/results/cfa.json")["side_information"] == used


def test_the_evaluated_column_is_refused_by_name_and_by_content(folder, handed, capsys):
    assert "side.labels names the column 'label'" in fails(
        capsys, retrieve.main, ["--method", "cfa", "--side.labels", "label"])
    (folder / "s.csv").write_text("kind\n" + "".join("kind {}\n".format(x) for x in LABELS))
    error = fails(capsys, retrieve.main, ["--method", "cfa", "--side_columns", "s.csv", "--side.labels", "kind"])
    assert "side.labels (column 'kind' of s.csv) joins the same gallery images as the column 'label'" in error
    assert handed == {} and not (folder / "runs" / "demo" / "rankings").exists()


def test_ground_truth_given_afterwards_is_compared_with_what_was_used(folder, handed, capsys):
    (folder / "s.csv").write_text("kind,category\n" + "".join("k{},{}\n".format(*x) for x in zip(LABELS, CATEGORY)))
    retrieve.main(FILES + ["--side_columns", "s.csv", "--side.labels", "kind"])
    retrieve.main(FILES + ["--side_columns", "s.csv", "--side.labels", "category", "--name", "coarse"])
    evaluate = ["--ground_truth", "truth.csv", "--ranks"]
    eval_map.main(evaluate + [os.path.join("out", "coarse.npy")])
    error = fails(capsys, eval_map.main, evaluate + [os.path.join("out", "cfa.npy")])
    assert "cfa.npy was ranked with side.labels (column 'kind' of " in error and "(100% of the pairs)" in error
    about = json.loads((folder / "out" / "coarse.json").read_text())
    (folder / "out" / about["side_information"]["codes"]).unlink()
    assert "is missing or damaged" in fails(capsys, eval_map.main, evaluate + [os.path.join("out", "coarse.npy")])


def test_edge_features(folder, handed, capsys):
    retrieve.main(FILES + EDGES)
    np.testing.assert_array_equal(handed["edges"][1].features, rows(8, 3, seed=3))
    np.testing.assert_array_equal(handed["edges"][0].features, rows(4, 3, seed=2))
    used = files.read_json("out/cfa.json")["side_information"]
    assert used["settings"]["edge_features"]["gallery"] == files.digest(rows(8, 3, seed=3))
    assert used["sources"][0]["path"] == str(folder / "edge_gallery.npy")
    eval_map.main(["--ground_truth", "truth.csv", "--ranks", os.path.join("out", "cfa.npy")])
    retrieve.main(["--method", "cfa"] + EDGES)  # a run, and other features from files
    assert handed["side"] is None
    assert "missing: --query_edge_features" in fails(capsys, retrieve.main, FILES + EDGES[:2])
    np.save("edge_gallery.npy", rows(7, 3))
    assert "have 7 rows and the gallery features gallery.npy have 8" in fails(capsys, retrieve.main, FILES + EDGES)


def test_what_would_be_left_out_in_silence_is_refused(folder, handed, capsys):
    assert "method none takes no side information" in fails(capsys, retrieve.main, ["--side.denoise", "rank"])
    assert "method gfr takes no side information" in fails(
        capsys, retrieve.main, FILES[:-1] + ["gfr", "--gfr.checkpoint", "x.npz"] + EDGES)
    assert "--side_columns s.csv: nothing uses it" in fails(capsys, retrieve.main, FILES + ["--side_columns", "s.csv"])
    assert "side.labels is 'kind', and features from anywhere come without columns" in fails(
        capsys, retrieve.main, FILES + ["--side.labels", "kind"])
