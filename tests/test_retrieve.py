import os
import subprocess
import sys

import numpy as np
import pytest

from slim_retrieval.commands import retrieve
from slim_retrieval.common import files, runs
from slim_retrieval.common.config import resolve
from slim_retrieval.graph import methods

SCRIPT = os.path.abspath(retrieve.__file__)
# Stands in for a machine without TensorFlow: importing it raises ImportError.
BLOCKED = ("import sys, runpy\n"
           "for name in ('tensorflow', 'tf_slim', 'tf_keras'):\n    sys.modules[name] = None\n"
           "runpy.run_path(sys.argv.pop(1), run_name='__main__')")


def clustered(n, d=8, seed=0):
    random = np.random.RandomState(seed)
    labels = np.arange(n) % 4
    rows = np.random.RandomState(99).randn(4, d)[labels] + 0.6 * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def write_files(folder):
    for name, n, seed in (("Q", 6, 0), ("G", 40, 1), ("T", 32, 2)):
        rows, labels = clustered(n, seed=seed)
        np.save(str(folder / (name + ".npy")), rows)
        (folder / (name + ".csv")).write_text("label\n" + "".join("c{}\n".format(x) for x in labels))
    return [flag for name, path in (("--query", "Q.npy"), ("--gallery", "G.npy"))
            for flag in (name, str(folder / path))] + ["--output", str(folder / "out")]


def write_run(directory, splits=(("query", 6), ("gallery", 40), ("train", 32), ("validation", 30))):
    run = directory / "runs" / "demo"
    for seed, (split, n) in enumerate(splits):
        rows, labels = clustered(n, seed=seed)
        folder = run / "features" / split
        folder.mkdir(parents=True)
        np.save(str(folder / "features.npy"), rows)
        (folder / "index.csv").write_text(
            "path,label\n" + "".join("{}.jpg,c{}\n".format(i, x) for i, x in enumerate(labels)))
        files.write_json(str(folder / "meta.json"), {"features_hash": files.digest(rows)})
    runs.save_config(str(run), resolve(None, {"run.name": "demo", "run.seed": "7", "gfr.epochs": "2"}))
    runs.point_latest(str(run))
    return run


def fails(argv, capsys, status=2):
    with pytest.raises(SystemExit) as stopped:
        retrieve.main(argv)
    assert stopped.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("error: ")
    return error


def test_features_from_anywhere_without_tensorflow(tmp_path):
    flags = write_files(tmp_path)
    done = subprocess.run([sys.executable, "-c", BLOCKED, SCRIPT] + flags + ["--method", "cfa", "--cfa.edges", "knn"],
                          capture_output=True, text=True, cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    ranks, about = np.load(str(tmp_path / "out" / "cfa.npy")), files.read_json(str(tmp_path / "out" / "cfa.json"))
    assert ranks.dtype == np.int32 and ranks.shape == (6, 40)
    np.testing.assert_array_equal(np.sort(ranks, axis=1), np.tile(np.arange(40), (6, 1)))
    assert np.mean(ranks[:, :10] % 4 == (np.arange(6) % 4)[:, None]) > 0.8  # the four clusters are found
    assert about["method"] == "cfa" and about["parameters"]["edges"] == "knn" and about["k"] == 40
    assert about["features_hash"]["gallery"] == files.digest(np.load(str(tmp_path / "G.npy")))
    assert about["peak_memory_mb"] > 10 and 0 < about["seconds"] < 100 and "numpy" in about["versions"]
    assert "tensorflow" not in about["versions"]
    assert str(tmp_path / "out" / "cfa.npy") in done.stdout and "fit: " in done.stdout


def test_an_output_that_is_no_folder_is_refused_before_anything_is_read(tmp_path, capsys):
    flags = write_files(tmp_path)
    flags[flags.index("--query") + 1] = "not read"
    flags[-1] = str(tmp_path / "Q.npy" / "out")
    assert fails(flags, capsys) == "error: cannot write to {}: {} is no folder; give another --output\n".format(
        flags[-1], tmp_path / "Q.npy")


def test_an_unknown_method_exits_with_two_and_lists_the_known(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, "--method", "cfs"], capture_output=True, text=True,
                          cwd=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "error: unknown method 'cfs' (did you mean cfa?); known: {}\n".format(
        ", ".join(sorted(methods.METHODS)))


def test_the_newest_run_and_several_settings_side_by_side(tmp_path, monkeypatch, capsys):
    run = write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    retrieve.main([])
    retrieve.main(["--method", "cfa", "--k", "5", "--cfa.levels", "[{k: [8]}]"])
    retrieve.main(["--run", "demo", "--method", "cfa", "--name", "cfa_wide", "--cfa.levels",
                   "[{k: [30], alpha: 0.5}]", "--k", "5"])
    out = capsys.readouterr().out
    folder = run / "rankings"
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        name + end for name in ("none", "cfa", "cfa_wide") for end in (".npy", ".json"))
    query, gallery = clustered(6, seed=0)[0], clustered(40, seed=1)[0]
    np.testing.assert_array_equal(np.load(str(folder / "none.npy")), np.argsort(-(query @ gallery.T), axis=1))
    first, second = (files.read_json(str(folder / name)) for name in ("cfa.json", "cfa_wide.json"))
    assert (first["graph_reused"], second["graph_reused"]) == (False, True)
    assert first["k"] == second["k"] == 5 and first["seed"] == 7
    assert second["method"] == "cfa" and second["parameters"]["levels"][0]["alpha"] == 0.5
    assert "features/query" in out and "stored, not built again" in out and "'alpha': 0.5" in out


def test_validation_ranks_within_the_validation_split(tmp_path, monkeypatch):
    run = write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    retrieve.main(["--validation", "--method", "alpha_qe", "--evaluation.validation_queries", "0.3"])
    ranks = np.load(str(run / "validation" / "rankings" / "alpha_qe.npy"))
    about = files.read_json(str(run / "validation" / "rankings" / "alpha_qe.json"))
    assert ranks.shape == (9, 21) and about["validation_queries"] == 0.3
    assert not (run / "rankings").exists()


def test_flags_that_contradict_each_other(tmp_path, capsys):
    flags = write_files(tmp_path)
    assert "missing: --gallery, --output" in fails(["--query", "Q.npy"], capsys)
    assert "missing: --query, --gallery" in fails(["--output", "x"], capsys)
    assert "--query and --run exclude each other" in fails(flags + ["--run", "demo"], capsys)
    assert "--query and --validation exclude each other" in fails(flags + ["--validation"], capsys)
    assert "--train and --train_labels go together" in fails(flags + ["--train", "T.npy"], capsys)
    assert "'../x' cannot name a file" in fails(flags + ["--name", "../x"], capsys)
    assert "deep" in fails(flags + ["--k", "deep"], capsys)
    assert not (tmp_path / "out").exists()


def test_features_that_cannot_be_used(tmp_path, capsys):
    flags = write_files(tmp_path)
    narrow = clustered(6, d=5)[0]
    np.save(str(tmp_path / "Q.npy"), narrow)
    assert "query features have the shape [6, 5] and gallery features [40, 8]" in fails(flags, capsys)
    narrow[2, 1] = np.nan
    np.save(str(tmp_path / "Q.npy"), narrow)
    assert "query features: row 2 holds NaN or infinity (1 of 6 rows do)" in fails(flags, capsys)
    (tmp_path / "Q.npy").unlink()
    assert "no file" in fails(flags, capsys)


def test_no_run_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "no run in runs/; train first" in fails([], capsys)


@pytest.mark.long
def test_a_memory_budget_is_obeyed_and_changes_no_ranking(tmp_path):
    """Features, centred features and output are 106, 106 and 133 MB, beside some 300 for Python and the libraries."""
    random = np.random.RandomState(0)
    rows = random.rand(300, 2048)[random.randint(300, size=13000)] + 0.3 * random.rand(13000, 2048)
    np.save(str(tmp_path / "g.npy"), (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    np.save(str(tmp_path / "q.npy"), np.load(str(tmp_path / "g.npy"))[:50])
    del rows
    peaks, ranks = {}, {}
    for limit in ("0", "0.6"):
        folder = tmp_path / limit
        command = [sys.executable, SCRIPT, "--query", str(tmp_path / "q.npy"), "--gallery",
                   str(tmp_path / "g.npy"), "--method", "cfa", "--k", "100", "--graph.neighbors", "50",
                   "--output", str(folder), "--max_memory", limit]
        subprocess.run(command, check=True)
        peaks[limit] = files.read_json(str(folder / "cfa.json"))["peak_memory_mb"]
        ranks[limit] = np.load(str(folder / "cfa.npy"))
        assert not list(folder.glob(".scratch*"))
    assert peaks["0.6"] * 1e6 < 0.6 * 2**30 and peaks["0.6"] + 80 < peaks["0"], peaks
    np.testing.assert_array_equal(ranks["0.6"], ranks["0"])
