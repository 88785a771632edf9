"""The script on benchmarks in miniature: without a run, and on a run that the test writes."""
import contextlib
import io
import json
import os
import pickle

import numpy as np
import pytest
import yaml

from slim_retrieval.commands import eval_map

OXFORD = {"all_souls_1": ("oxc1_all_souls_000013 1 2 3 4", ["all_souls_000013"], ["oxford_000001"], ["oxford_000002"]),
          "balliol_1": ("oxc1_balliol_000051 1 2 3 4", ["balliol_000051"], [], [])}


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Run `main` in tmp_path; return (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        out, err, status = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                eval_map.main(list(arguments))
            except SystemExit as error:
                status = error.code
        return status, out.getvalue(), err.getvalue()
    return run


@pytest.fixture
def refused(run_script):
    """Run `main`, which must refuse with one line; return the line."""
    def run(*arguments):
        status, _, message = run_script(*arguments)
        assert status == 2 and message.startswith("error: ") and message.count("\n") == 1, message
        return message
    return run


@pytest.fixture
def oxford(tmp_path):
    """gt/ as its authors publish it, and R/ with a ranked list for each query."""
    (tmp_path / "gt").mkdir()
    (tmp_path / "R").mkdir()
    for query, (image, good, ok, junk) in OXFORD.items():
        for kind, names in (("query", [image]), ("good", good), ("ok", ok), ("junk", junk)):
            (tmp_path / "gt" / "{}_{}.txt".format(query, kind)).write_text("\n".join(names) + "\n")
    # junk, +, wrong, +: (1 + (1/2 + 2/3)/2) / 2; wrong, + of one: (0 + 1/2)/2.
    (tmp_path / "R" / "all_souls_1.txt").write_text("oxford_000002\nall_souls_000013\nx_1\noxford_000001.jpg\n")
    (tmp_path / "R" / "balliol_1.ranked").write_text("oxford_000001\nballiol_000051\n")
    return tmp_path


APS = [(1 + 7 / 12) / 2, 1 / 4]
OXFORD_FLAGS = ["--ranks", "R", "--ground_truth", "gt", "--protocol", "oxford5k"]


def read(path):
    return json.loads(path.read_text())


def test_oxford_from_lists(run_script, oxford):
    status, out, err = run_script(*(OXFORD_FLAGS + ["--json", "o.json"]))
    assert status == 0, err
    result = read(oxford / "o.json")
    assert result["mAP"] == pytest.approx(np.mean(APS)) and result["ap"] == "trapezoid" and result["name"] == "R"
    assert "protocol oxford5k; positives: good and ok images, junk removed; AP: trapezoid (Oxford, revisited)" in out
    assert run_script(*(OXFORD_FLAGS + ["--json", "o.json", "--evaluation.ap", "step"]))[0] == 0
    assert read(oxford / "o.json")["mAP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)


def test_oxford_from_ids_by_names(run_script, refused, oxford):
    names = ["x_1", "oxford_000001", "all_souls_000013", "balliol_000051", "oxford_000002"]
    (oxford / "images.txt").write_text("".join("jpg/{}.jpg\n".format(name) for name in names))
    (oxford / "queries.csv").write_text("path\nballiol_000051.jpg\nall_souls_000013.jpg\n")
    np.save(str(oxford / "R.npy"), np.array([[1, 3, -1, -1], [4, 2, 0, 1]]))
    flags = ["--ranks", "R.npy", "--ground_truth", "gt", "--protocol", "oxford5k", "--json", "o.json"]
    assert run_script(*(flags + ["--gallery_names", "images.txt", "--query_names", "queries.csv"]))[0] == 0
    assert read(oxford / "o.json")["mAP"] == pytest.approx(np.mean(APS))
    assert "R.npy holds ids, and the ground truth names only 4 images of the gallery" in refused(*flags)
    assert "--num_distractors: the ground truth names only 4 images" in refused(*(flags + ["--num_distractors", "9"]))
    assert "'few' is not a whole number" in refused(*(flags + ["--num_distractors", "few"]))


def test_revisited_has_a_row_for_each_setting(run_script, refused, tmp_path):
    gnd = [{"easy": [0], "hard": [1], "junk": [2], "bbx": [0, 0, 1, 1]}]
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps({"gnd": gnd, "imlist": list("abcd"), "qimlist": ["q"]}))
    np.save(str(tmp_path / "R.npy"), np.array([[2, 3, 1, 4, 0]]))  # 4 is a distractor
    flags = ["--ranks", "R.npy", "--ground_truth", ".", "--protocol", "roxford5k", "--json", "o.json"]
    status, out, err = run_script(*(flags + ["--num_distractors", "1"]))
    assert status == 0, err
    result = read(tmp_path / "o.json")
    # Without junk: easy d e a (place 3), medium d b e a (2, 4), hard d b e (2).
    expected = {"easy": (0 + 1 / 3) / 2, "medium": ((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2, "hard": 1 / 4}
    assert {name: one["mAP"] for name, one in result["settings"].items()} == pytest.approx(expected)
    assert result["mAP"] == pytest.approx(expected["medium"]) and result["settings"]["hard"]["mP_at_1"] == 0
    for name, value in expected.items():
        assert "R ({})".format(name) in out and "{:.4f}".format(value) in out
    assert "R.npy: query 0 ranks id 4, but the gallery has ids 0 to 3" in refused(*flags)


def test_recognition(run_script, tmp_path):
    (tmp_path / "s.csv").write_text("id,landmarks,Usage\np1,7,Private\np2,,Private\n")
    (tmp_path / "m.csv").write_text("id,landmarks\np1,7 0.4\np2,3 0.9\n")
    status, out, _ = run_script("--ranks", "m.csv", "--ground_truth", "s.csv", "--protocol", "landmarks_v2_recognition",
                                "--json", "o.json")
    assert status == 0 and "GAP: 0.5000" in out and read(tmp_path / "o.json")["GAP"] == 0.5


def write_run(folder, protocol, query, gallery, columns="path"):
    """A run whose rankings are `none` and `cfa`; returns its folder."""
    run = folder / "runs" / "tiny"
    run.mkdir(parents=True)
    config = {"run": {"name": "tiny"}, "data": {"path": "gone"}, "evaluation": protocol}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for split, rows in (("query", query), ("gallery", gallery)):
        (run / "features" / split).mkdir(parents=True)
        (run / "features" / split / "index.csv").write_text("\n".join([columns] + rows) + "\n")
        (run / "features" / split / "meta.json").write_text(json.dumps({"features_hash": split}))
    return run


def rank(run, **rankings):
    (run / "rankings").mkdir(exist_ok=True)
    for name, ranks in rankings.items():
        np.save(str(run / "rankings" / (name + ".npy")), np.array(ranks))
        about = {"method": name, "features_hash": {"query": "query", "gallery": "gallery"}}
        (run / "rankings" / (name + ".json")).write_text(json.dumps(about))


GALLERY = ["jpg/flickr_1.jpg", "jpg/oxford_000001.jpg", "jpg/all_souls_000013.jpg", "jpg/balliol_000051.jpg",
           "jpg/oxford_000002.jpg"]


def test_a_run_on_oxford(run_script, refused, oxford):
    # The rows have another order than the ground truth, and a distractor; the index has no labels.
    protocol = {"protocol": "oxford5k", "ground_truth": "gt"}
    run = write_run(oxford, protocol, ["jpg/balliol_000051.jpg", "jpg/all_souls_000013.jpg"], GALLERY)
    rank(run, none=[[1, 3, 0, 2, 4], [4, 2, 0, 1, 3]], cfa=[[3, 1, 0, 2, 4], [2, 1, 0, 3, 4]])
    status, out, err = run_script("--run", "tiny", "--no-report")
    assert status == 0, err
    none, cfa = read(run / "results" / "none.json"), read(run / "results" / "cfa.json")
    assert none["mAP"] == pytest.approx(np.mean(APS)) and cfa["mAP"] == 1 and none["num_gallery"] == 5
    assert cfa["against_none"]["difference"] == pytest.approx(1 - np.mean(APS))
    assert "protocol oxford5k" in out and "cfa against none: mAP +0." in out
    # The same by flags, and a gallery that lacks an image.
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"path": "gone"}}))
    assert run_script("--run", "tiny", "--no-report", "--protocol", "oxford5k", "--ground_truth", "gt")[1] == out
    assert "lacks the column label; it has: path" in refused("--run", "tiny")
    assert "protocol oxford5k needs the benchmark's ground truth" in refused("--run", "tiny", "--protocol", "oxford5k")
    (run / "features" / "gallery" / "index.csv").write_text("\n".join(["path"] + GALLERY[:3] + ["x", "y"]) + "\n")
    assert ("the ground truth names 4 gallery images, the run runs/tiny has 5; 2 of those named are not there, the "
            "first is balliol_000051") in refused("--run", "tiny", "--protocol", "oxford5k", "--ground_truth", "gt")


def test_a_run_by_the_rule_of_its_protocol(run_script, tmp_path):
    run = write_run(tmp_path, {"protocol": "market1501"}, ["q,5,1"], ["a,5,1", "b,5,2", "c,0,1", "d,-1,1"],
                    "path,label,camera")
    rank(run, none=[[3, 0, 2, 1]])
    status, out, err = run_script("--run", "tiny", "--no-report")
    assert status == 0, err
    result = read(run / "results" / "none.json")
    assert result["mAP"] == 1 / 2 and result["cmc_at_1"] == 0 and "CMC@1" in out and "mINP" in out


@pytest.mark.parametrize("protocol, rule", [
    ("oxford5k", "positives: same label"), ("market1501", "protocol market1501; positives: same identity")])
def test_validation_never_reads_the_benchmarks_ground_truth(run_script, tmp_path, protocol, rule):
    settings = {"protocol": protocol, "ground_truth": "nowhere", "validation_queries": 0.5}
    run = write_run(tmp_path, settings, ["q,1,1"], ["g,1,2"], "path,label,camera")
    rows = ["v{0},7,{0}".format(i) for i in range(4)]
    (run / "features" / "validation").mkdir()
    (run / "features" / "validation" / "index.csv").write_text("\n".join(["path,label,camera"] + rows) + "\n")
    (run / "features" / "validation" / "meta.json").write_text('{"features_hash": "v"}')
    (run / "validation").mkdir()
    rank(run / "validation", none=[[0, 1], [1, 0]])
    about = {"features_hash": {"query": "v", "gallery": "v"}, "seed": 0, "validation_queries": 0.5}
    (run / "validation" / "rankings" / "none.json").write_text(json.dumps(about))
    status, out, err = run_script("--run", "tiny", "--validation")
    assert status == 0, err
    assert rule in out and read(run / "validation" / "results" / "none.json")["mAP"] == 1


@pytest.mark.parametrize("files, message", [
    ({"gt/balliol_1_good.txt": b"caf\xe9\n"}, "balliol_1_good.txt is not UTF-8"),
    ({"gt/balliol_1_query.txt": b""}, "balliol_1_query.txt is empty"),
    ({"R/balliol_1.ranked": b""}, "balliol_1.ranked is empty"),
    ({"R/balliol_1.ranked": b"caf\xe9\n"}, "balliol_1.ranked is not UTF-8"),
    ({"R/balliol_1.ranked": b"balliol_000051\nballiol_000051.jpg\n"}, "balliol_000051 is ranked more than once"),
    ({"R/baliol_2.txt": b"x\n"}, "R has a ranking for baliol_2, which is not among the 2 queries"),
    ({"R/balliol_1.ranked": None}, "R has 1 rankings, the ground truth 2 queries; 1 have none, the first is balliol_1"),
    ({"gt/balliol_1_junk.txt": None}, "no gt/balliol_1_junk.txt"),
])
def test_bad_input(refused, oxford, files, message):
    for name, content in files.items():
        (oxford / name).unlink() if content is None else (oxford / name).write_bytes(content)
    assert message in refused(*OXFORD_FLAGS)


class Attack:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_a_malicious_pickle_is_refused_and_not_run(refused, tmp_path):
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(Attack()))
    np.save(str(tmp_path / "R.npy"), np.array([[0]]))
    message = refused("--ranks", "R.npy", "--ground_truth", "g.pkl", "--protocol", "rparis6k")
    assert "g.pkl is refused: it asks for" in message and not (tmp_path / "ran").exists()
