"""The script as a user runs it, on a run that the test writes."""
import contextlib
import io
import json
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import eval_map
from slim_retrieval.common.validation import cut

SCRIPT = os.path.abspath(eval_map.__file__)
QUERY = [("query/a/0.png", "a"), ("query/b/0.png", "b")]
GALLERY = [("gallery/a/0.png", "a"), ("gallery/a/1.png", "a"), ("gallery/b/0.png", "b")]


def run_process(folder, *arguments):
    return subprocess.run([sys.executable] + list(arguments), cwd=str(folder), capture_output=True, text=True,
                          timeout=120)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run_script(folder, *arguments):
    """Run `main` in this process, which is faster, and give what a subprocess would."""
    out, err, status, before = io.StringIO(), io.StringIO(), 0, os.getcwd()
    os.chdir(str(folder))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            eval_map.main(list(arguments))
    except SystemExit as error:
        status = error.code
    finally:
        os.chdir(before)
    return Done(status, out.getvalue(), err.getvalue())


def fails(folder, *arguments):
    done = run_script(folder, *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def write_features(run, split, rows, features_hash):
    folder = run / "features" / split
    folder.mkdir(parents=True)
    (folder / "index.csv").write_text("path,label\n" + "".join("{},{}\n".format(*row) for row in rows))
    (folder / "meta.json").write_text(json.dumps({"features_hash": features_hash}))


def write_ranking(folder, name, ranks, hashes, **more):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(str(folder / (name + ".npy")), np.array(ranks, np.int32))
    about = dict(method=name, parameters={"k": 3}, seconds=1.5, stage_seconds={"search": 1.5}, peak_memory_mb=99, k=3,
                 num_queries=len(ranks), num_gallery=3, features_hash=hashes, **more)
    (folder / (name + ".json")).write_text(json.dumps(about))


@pytest.fixture
def folder(tmp_path):
    """A working folder with data/ and runs/tiny: two queries, three gallery images, rankings none and cfa."""
    for i, (path, _) in enumerate(QUERY + GALLERY):
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(str(tmp_path / "data" / path))
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    os.symlink("tiny", str(tmp_path / "runs" / "latest"))
    sources = {split: {"source": split} for split in ("query", "gallery")}
    config = {"run": {"name": "tiny"}, "data": dict(sources, reader="folder", path="data")}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    write_features(run, "query", [("data/" + path, label) for path, label in QUERY], "q1")
    write_features(run, "gallery", [("data/" + path, label) for path, label in GALLERY], "g1")
    hashes = {"query": "q1", "gallery": "g1"}
    write_ranking(run / "rankings", "none", [[0, 2, 1], [0, 2, -1]], hashes)  # APs (1 + 2/3) / 2 and 1/2
    write_ranking(run / "rankings", "cfa", [[0, 1, 2], [2, 0, 1]], hashes)  # 1 and 1
    return tmp_path


def read_json(path):
    return json.loads(path.read_text())


def test_newest_run(folder):
    done = run_process(folder, SCRIPT)
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "tiny"
    none, cfa = read_json(run / "results" / "none.json"), read_json(run / "results" / "cfa.json")
    assert none["mAP"] == pytest.approx((5 / 6 + 1 / 2) / 2) and none["recall_at_1"] == 0.5
    assert cfa["mAP"] == 1 and cfa["recall_at_1"] == 1
    for result in (none, cfa):
        assert (result["num_queries"], result["seconds"], result["peak_memory_mb"]) == (2, 1.5, 99)
        assert "average_precision" not in result and result["method"] == result["name"] and result["ap"] == "step"
    assert none["mAP_interval"] == pytest.approx([1 / 2, 5 / 6]) and none["against_none"] is None
    assert cfa["against_none"]["difference"] == pytest.approx(1 - (5 / 6 + 1 / 2) / 2)
    assert cfa["against_none"]["p"] == pytest.approx(1 / 2, abs=0.02)  # two of the four signs of two queries
    assert "none    0.6667  0.5000-0.8333    0.5000    1.0000     1.0000  0.7500      1.5        99 MB" in done.stdout
    assert "cfa against none: mAP +0.3333 (95 % +0.1667 to +0.5000), p 0." in done.stdout
    assert "| none | 0.6667 | 0.5000-0.8333 | 0.5000 | 1.0000 |" in (run / "results" / "table.md").read_text()
    assert "2 queries (query), 3 gallery images (gallery); positives: same label; AP: step sum" in done.stdout
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 + 3  # each picture once, however often it is shown
    assert not [name for _, _, names in os.walk(str(run)) for name in names if name.startswith(".partial")]


def test_some_methods_other_settings_and_no_report(folder):
    done = run_script(folder, "--run", "tiny", "--method", "none", "--no-report", "--evaluation.ap", "trapezoid",
                      "--evaluation.recall_at", "[2]")
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "tiny"
    # Query 0: (1 + (1/2 + 2/3) / 2) / 2; query 1: (0 + 1/2) / 2.
    result = read_json(run / "results" / "none.json")
    assert result["mAP"] == pytest.approx(((1 + 7 / 12) / 2 + 1 / 4) / 2) and result["recall_at_2"] == 1
    assert not (run / "results" / "cfa.json").exists() and not (run / "report.html").exists()
    assert "AP: trapezoid (Oxford, revisited)" in done.stdout


def test_data_that_are_gone_cost_only_the_pictures(folder):
    (folder / "data").rename(folder / "moved")
    done = run_script(folder)
    assert done.returncode == 0, done.stderr
    assert "Without pictures: data.path: there is no data" in done.stdout
    page = (folder / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "Without pictures" in page and "data:image/png;base64" not in page


def test_one_missing_picture(folder):
    (folder / "data" / "gallery" / "a" / "1.png").unlink()
    assert run_script(folder).returncode == 0
    page = (folder / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "left out: 1." in page and page.count("data:image/png;base64,") == 2 + 3 - 1


def test_validation(folder):
    run = folder / "runs" / "tiny"
    rows = [("v/{}".format(i), "ab"[i % 2]) for i in range(10)]
    write_features(run, "validation", rows, "v1")
    query, gallery = cut(10, 0.3, 4)
    labels = np.arange(10) % 2
    ranks = np.argsort(labels[query][:, None] != labels[gallery][None, :], axis=1)  # all positives first
    write_ranking(run / "validation" / "rankings", "cfa", ranks, {"query": "v1", "gallery": "v1"}, seed=4,
                  validation_queries=0.3)
    arguments = ["--validation", "--evaluation.validation_queries", "0.3", "--run.seed", "4"]
    done = run_script(folder, *arguments)
    assert done.returncode == 0, done.stderr
    result = read_json(run / "validation" / "results" / "cfa.json")
    assert result["mAP"] == 1 and result["num_queries"] == 3 and result["num_gallery"] == 7
    assert "not a test result" in done.stdout
    assert not (run / "report.html").exists() and not (run / "results").exists()
    # As many queries, but others.
    message = fails(folder, *(arguments[:-1] + ["5"]))
    assert "cfa.npy was cut with seed 4, but the configuration has 5" in message
    (run / "features" / "validation" / "meta.json").write_text('{"features_hash": "v2"}')
    assert "made from validation features v1, but the run now has v2" in fails(folder, *arguments)


def nothing_written(folder):
    run = folder / "runs" / "tiny"
    assert sorted(os.listdir(str(run))) == ["config.yaml", "features", "rankings"]


def test_stale_ranking_is_refused(folder):
    (folder / "runs" / "tiny" / "features" / "query" / "meta.json").write_text('{"features_hash": "q2"}')
    done = run_process(folder, SCRIPT)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "cfa.npy was made from query features q1, but the run now has q2; run retrieve.py" in done.stderr
    nothing_written(folder)


@pytest.mark.parametrize("ranks, message", [
    ([[0, 1, 2]], "none.npy ranks 1 queries, the ground truth has 2"),
    ([[0, 1, 3], [0, 1, 2]], "none.npy: query 0 ranks id 3, but the gallery has ids 0 to 2"),
])
def test_one_bad_ranking_and_nothing_is_written(folder, ranks, message):
    # cfa, which is read before it, is sound.
    write_ranking(folder / "runs" / "tiny" / "rankings", "none", ranks, {"query": "q1", "gallery": "g1"})
    assert message in fails(folder)
    nothing_written(folder)


def test_what_is_missing_is_named(folder):
    rankings = folder / "runs" / "tiny" / "rankings"
    assert "unknown ranking in" in fails(folder, "--method", "gfr") and "known: cfa, none" in fails(
        folder, "--method", "gfr")
    assert "no run other" in fails(folder, "--run", "other")
    assert "no rankings in runs/tiny/validation/rankings; run retrieve.py --validation first" in fails(
        folder, "--validation")
    write_ranking(folder / "runs" / "tiny" / "validation" / "rankings", "none", [[0]], {"query": "v"})
    assert "no validation features runs/tiny/features/validation/index.csv" in fails(folder, "--validation")
    (rankings / "cfa.json").unlink()
    assert "cfa.json does not say which features it was made from" in fails(folder)
    (rankings / "cfa.json").write_text("{")
    assert "cfa.json is not valid JSON" in fails(folder)
    for path in rankings.glob("*"):
        path.unlink()
    assert "run retrieve.py first" in fails(folder)


def test_rankings_from_anywhere(tmp_path):
    (tmp_path / "gt.csv").write_text("split,path,label\nquery,q,a\nquery,r,x\ngallery,g,b\ngallery,h,a\n")
    np.save(str(tmp_path / "mine.npy"), np.array([[0, 1], [0, 1]]))
    done = run_script(tmp_path, "--ranks", "mine.npy", "--ground_truth", "gt.csv", "--protocol", "classes", "--json",
                      "out/result.json")
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "out" / "result.json")
    assert (result["mAP"], result["recall_at_1"], result["recall_at_5"]) == (0.5, 0, 1)
    assert (result["num_queries"], result["num_queries_without_positives"], result["seconds"]) == (2, 1, None)
    assert "queries without positives, left out: 1" in done.stdout and "mine    0.5000" in done.stdout
    assert result["mAP_interval"] == [0.5, 0.5] and result["against_none"] is None


def test_report_with_features_and_elsewhere(folder):
    run = folder / "runs" / "tiny"
    done = run_script(folder)
    assert "Without distances and map: runs/tiny/features/query/features.npy cannot be read" in done.stdout
    (run / "report.html").unlink()
    np.save(str(run / "features" / "query" / "features.npy"), np.eye(2, 4, dtype=np.float32))
    np.save(str(run / "features" / "gallery" / "features.npy"), np.eye(3, 4, dtype=np.float32))
    done = run_script(folder, "--report", "elsewhere.html")
    assert "report: elsewhere.html (0." in done.stdout and "Without" not in done.stdout
    page = (folder / "elsewhere.html").read_text(encoding="utf-8")
    # Query 0 is gallery image 0, query 1 is image 1 of the other class; all other pairs are at right angles.
    # So of 3 x 3 comparisons the match is closer in 2, as far in 1 + 2 + 2, farther in 2.
    assert '"pairs":[3,3],"closer":0.5}' in page and "t-SNE" in page and not (run / "report.html").exists()
    np.save(str(run / "features" / "gallery" / "features.npy"), np.eye(4, 4, dtype=np.float32))
    assert "gallery/features.npy has shape [4, 4] rather than [3, 4]" in run_script(folder).stdout
    assert "Without distances and map" in (run / "report.html").read_text(encoding="utf-8")


def test_report_from_files(tmp_path):
    (tmp_path / "gt.csv").write_text("split,path,label\nquery,q,a\nquery,r,x\ngallery,g,b\ngallery,h,a\n")
    np.save(str(tmp_path / "mine.npy"), np.array([[0, 1], [0, 1]]))
    arguments = ["--ranks", "mine.npy", "--ground_truth", "gt.csv"]
    assert "--report needs a file name" in fails(tmp_path, *(arguments + ["--report"]))
    assert run_script(tmp_path, *(arguments + ["--report", "out/mine.html"])).returncode == 0
    page = (tmp_path / "out" / "mine.html").read_text(encoding="utf-8")
    assert "<h1>mine</h1>" in page and '"marks":[["wc"]]' in page and "without pictures" in page


def test_files_that_cannot_be_written_are_refused_beforehand(folder):
    for flags in (["--report", "runs"], ["--ranks", "r.npy", "--ground_truth", "g.csv", "--json", "runs"]):
        assert "cannot write runs: it is a folder; give {} another file".format(flags[-2]) in fails(folder, *flags)
    nothing_written(folder)


def test_flags_that_do_not_go_together(folder):
    assert "--ranks needs --ground_truth" in fails(folder, "--ranks", "r.npy")
    assert "--run belongs to a run" in fails(folder, "--ranks", "r.npy", "--ground_truth", "g.csv", "--run", "tiny")
    assert "--json goes with --ranks" in fails(folder, "--json", "x.json")
    assert "--gallery_names goes with --ranks" in fails(folder, "--gallery_names", "x.txt")
    assert "--report shows query and gallery" in fails(folder, "--validation", "--report")
    assert "unknown protocol 'oxfrd'" in fails(folder, "--ranks", "r.npy", "--ground_truth", "g", "--protocol", "oxfrd")
    assert "unknown protocol 'oxfrd'" in fails(folder, "--protocol", "oxfrd")
    assert "unknown metric 'recal@k'" in fails(folder, "--evaluation.metrics", "[recal@1]")
    assert "evaluation.ap: 'area' is not one of protocol, step, trapezoid" in fails(folder, "--evaluation.ap", "area")


def test_tensorflow_is_never_imported(folder):
    code = ("import sys; from slim_retrieval.commands import eval_map; eval_map.main([]); "
            "print(sorted(m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'tf_slim', 'tf_keras')))")
    done = run_process(folder, "-c", code)
    assert done.stdout.endswith("\n[]\n") and (folder / "runs" / "tiny" / "report.html").exists(), done.stderr
