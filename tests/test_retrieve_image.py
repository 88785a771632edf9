"""`retrieve.py --image` on a tiny run: answers against the stored features of the same photos, the index, mistakes."""
import io
import json
import os
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import extract_features, retrieve
from slim_retrieval.common import feature_store, files
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import index_lists, sources
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.nets import whiten
from slim_retrieval.nets.model import build_model

MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 16, "embedding_size": 5}
# How each run's features are extracted; "rich" leaves no setting at its default.
EXTRACTION = {
    "plain": {},
    "rich": {"end_point": "stage_2", "scales": [1, 0.75], "flip": True, "resize": "aspect", "multiple": 4, "draft": 1,
             "whitening": "pca"}}
GALLERY, QUERY = "runs/{}/features/gallery", "runs/{}/features/query"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with 3 query photos, 9 gallery photos and the runs of EXTRACTION, features extracted."""
    folder, random = tmp_path_factory.mktemp("made"), np.random.RandomState(0)
    for split, count in (("query", 1), ("gallery", 3), ("train", 3)):
        for label in "abc":
            (folder / "data" / split / label).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(random.randint(0, 256, (20, 28 + 4 * i, 3)).astype(np.uint8)).save(
                    str(folder / "data" / split / label / "{}.jpg".format(i)))
    model = dict(asdict(ModelConfig()), **MODEL)
    before = os.getcwd()
    os.chdir(str(folder))
    try:
        for seed, (name, extraction) in enumerate(EXTRACTION.items()):
            write_run(folder / "runs" / name, model, extraction, seed)
            arguments = ["--run", name]
            if "whitening" in extraction:
                extract_features.main(arguments + ["--extraction.splits", "[train]", "--extraction.whitening", ""])
                whiten.main(arguments + ["--dimension", "4"])
            extract_features.main(arguments + ["--extraction.splits", "[query, gallery]"])
    finally:
        os.chdir(before)
    return folder


def write_run(run, model, extraction, seed):
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({
        "run": {"name": run.name}, "model": MODEL, "extraction": extraction,
        "data": dict({s: {"source": s} for s in ("query", "gallery", "train")}, path="data")}))
    (run / "checkpoints" / "model.json").write_text(json.dumps({"model": model, "preprocessing": "minus_one_to_one"}))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        build_model(tf.placeholder(tf.float32, [None, 16, 16, 3]), model)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(run / "checkpoints" / "model.ckpt"), global_step=7)


@pytest.fixture()
def project(made, tmp_path, monkeypatch):
    """A copy of what was made, as the current directory."""
    shutil.copytree(str(made), str(tmp_path / "p"))
    monkeypatch.chdir(str(tmp_path / "p"))
    return tmp_path / "p"


def photos(run):
    return feature_store.read_index(os.path.join(QUERY.format(run), "index.csv"))["path"]


def stored(run):
    """Return (query, gallery) features and the gallery's index, as extraction wrote them."""
    return (np.load(os.path.join(QUERY.format(run), "features.npy")),
            np.load(os.path.join(GALLERY.format(run), "features.npy")),
            feature_store.read_index(os.path.join(GALLERY.format(run), "index.csv")))


def ask(run, *arguments):
    """Return the answers to all photos of the query split."""
    retrieve.main(["--run", run, "--image"] + photos(run) + ["--json", "out.json"] + list(arguments))
    return files.read_json("out.json")["answers"]


def check(answers, scores, run, k):
    """Compare answers with what a matrix of scores [photos, gallery] says."""
    columns = stored(run)[2]
    assert [answer["image"] for answer in answers] == photos(run)
    for answer, row in zip(answers, scores):
        best = np.argsort(-row, kind="stable")[:k]
        found = answer["neighbours"]
        assert [one["path"] for one in found] == [columns["path"][i] for i in best]
        assert [one["label"] for one in found] == [columns["label"][i] for i in best]
        assert [one["rank"] for one in found] == list(range(1, len(best) + 1))
        np.testing.assert_allclose([one["similarity"] for one in found], row[best], atol=2e-5)


def failure(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        retrieve.main(list(arguments))
    error = capsys.readouterr().err
    lines = [line for line in error.rstrip("\n").split("\n") if line.startswith(("error: ", "Traceback"))]
    assert stop.value.code == 2 and len(lines) == 1 and error.rstrip("\n").endswith(lines[0])
    return lines[0]


@pytest.mark.parametrize("run", EXTRACTION)
def test_photos_get_the_features_that_extraction_gave_them(project, run, capsys):
    query, gallery, _ = stored(run)
    assert query.shape[1] == (5 if run == "plain" else 4)
    check(ask(run, "--k", "4"), query @ gallery.T, run, 4)
    printed = capsys.readouterr().out.split("\n")
    assert printed.count("  rank  similarity  label  path") == 3 and "ms for the query" in printed[-2]


def test_cfa_answers_from_its_index_without_reading_the_gallery(project, monkeypatch, capsys):
    query, gallery, _ = stored("plain")
    model = CFA(seed=0).fit(gallery)
    first = ask("plain", "--method", "cfa", "--run.seed", "0")
    check(first, model.transform(query) @ model.gallery_.T, "plain", 9)  # k is 10, the gallery has 9
    assert "building it" in capsys.readouterr().out
    with monkeypatch.context() as patched:
        patched.setattr(sources, "from_run", None)
        assert ask("plain", "--method", "cfa", "--run.seed", "0") == first
    assert "building it" not in capsys.readouterr().out
    level = CFA(levels=[{"k": [3]}]).fit(gallery)
    again = ask("plain", "--method", "cfa", "--cfa.levels", "[{k: [3]}]")
    check(again, level.transform(query) @ level.gallery_.T, "plain", 9)
    assert "of other settings: building it" in capsys.readouterr().out


def test_each_path_on_the_standard_input_is_answered_in_turn(project, monkeypatch, capsys):
    def given(*lines):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("".join(lines).encode())))

    arguments, paths = ["--run", "plain", "--method", "cfa", "--image", "-", "--json", "out.json"], photos("plain")
    together = ask("plain", "--method", "cfa")
    given(paths[0] + "\n", "\n", paths[1] + "\r\n", paths[2])
    retrieve.main(arguments)
    apart = files.read_json("out.json")["answers"]
    assert [answer["image"] for answer in apart] == paths
    for one, other in zip(apart, together):
        assert [n["path"] for n in one["neighbours"]] == [n["path"] for n in other["neighbours"]]
    assert capsys.readouterr().out.count("ms for the features of 1 photo") == 3
    given("none.jpg\n", paths[1])  # what can be answered is, and the exit status tells
    with pytest.raises(SystemExit) as stop:
        retrieve.main(arguments)
    lines = [line for line in capsys.readouterr().err.split("\n") if line.startswith("error: ")]
    assert stop.value.code == 2 and files.read_json("out.json")["answers"] == apart[1:2]
    assert "cannot read image none.jpg" in lines[0] and "1 of 2 photos could not be read" in lines[1]
    given()
    retrieve.main(arguments)
    assert files.read_json("out.json")["answers"] == []


def test_lists_answer_as_a_search_of_everything(project, monkeypatch, capsys):
    expected = ask("plain", "--method", "cfa", "--retrieval.search", "exact")
    monkeypatch.setattr(index_lists, "LARGE", 0)
    check(ask("plain"), stored("plain")[0] @ stored("plain")[1].T, "plain", 9)
    for first, second in zip(ask("plain", "--method", "cfa"), expected):
        for one, other in zip(first["neighbours"], second["neighbours"]):
            assert one["path"] == other["path"] and abs(one["similarity"] - other["similarity"]) < 2e-5
    assert os.path.isdir("runs/plain/index/cfa/lists/source_") and os.path.isdir("runs/plain/index/none/lists/gallery_")
    assert "1 lists of 9 images" in capsys.readouterr().out
    with monkeypatch.context() as patched:
        patched.setattr(sources, "from_run", None)
        ask("plain")


def test_an_index_csv_of_another_length_is_refused(project, capsys):
    path = os.path.join(GALLERY.format("plain"), "index.csv")
    with open(path, "a") as stream:
        stream.write("more.jpg,a\n")
    assert "index.csv has 10 rows but 9 features" in failure(capsys, "--run", "plain", "--image", photos("plain")[0])


def test_a_method_that_only_orders_has_no_similarities(project, capsys):
    answers = ask("plain", "--method", "k_reciprocal", "--k", "3")
    assert [[one["similarity"] for one in answer["neighbours"]] for answer in answers] == [[None] * 3] * 3


@pytest.mark.parametrize("arguments, message", [
    (["--image", "none.jpg"], "cannot read image none.jpg: there is no such file"),
    (["--image", "runs/plain/config.yaml"], "is not an image"),
    (["--image", "PHOTO", "--method", "cfaa"], "did you mean cfa"),
    (["--image", "PHOTO", "--extraction.flip", "true"], "photos are extracted as the gallery was"),
    (["--image", "PHOTO", "--side.labels", "label"], "takes no side information"),
    (["--image", "-", "PHOTO"], "paths on the standard input) and photos exclude each other"),
    (["--image", "PHOTO", "--validation"], "--image and --validation exclude each other"),
    (["--image", "PHOTO", "--json", "data"], "cannot write data: it is a folder; give --json another file"),
    (["--json", "out.json"], "--json is for the answers to --image")])
def test_mistakes_are_one_line(project, capsys, arguments, message):
    photo = photos("plain")[0]
    assert message in failure(capsys, "--run", "plain", *[photo if a == "PHOTO" else a for a in arguments])


def test_a_run_that_cannot_be_written_can_be_asked(project, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode, **more: not mode & os.W_OK)
    retrieve.main(["--run", "plain", "--image", photos("plain")[0]])
    with pytest.raises(SystemExit):
        retrieve.main(["--run", "plain"])


def test_features_that_cannot_be_made_again_are_refused(project, capsys):
    arguments = ["--run", "rich", "--image", photos("rich")[0]]
    whitening = files.read_json("runs/rich/whitening/pca.json")
    files.write_json("runs/rich/whitening/pca.json", dict(whitening, hash="another"))
    assert "whitening pca was fitted anew" in failure(capsys, *arguments)
    checkpoint = "runs/rich/checkpoints/model.ckpt-7.index"
    shutil.copy(checkpoint.replace("rich", "plain"), checkpoint)
    assert "has other weights than the features of runs/rich" in failure(capsys, *arguments)
    os.remove(checkpoint)
    assert "which is there no more; extract the features again" in failure(capsys, *arguments)
    meta = files.read_json(os.path.join(GALLERY.format("rich"), "meta.json"))
    files.write_json(os.path.join(GALLERY.format("rich"), "meta.json"), dict(meta, models=["a", "b"]))
    assert "those of 2 models side by side" in failure(capsys, *arguments)
    del meta["checkpoint_hash"]
    files.write_json(os.path.join(GALLERY.format("rich"), "meta.json"), meta)
    assert "do not say which weights made them" in failure(capsys, *arguments)
    shutil.rmtree(GALLERY.format("rich"))
    assert "no gallery features in runs/rich; run extract_features.py first" in failure(capsys, *arguments)


def test_photos_are_added_to_the_gallery_and_deleted_and_the_index_follows(project, monkeypatch, capsys):
    before, new = stored("rich"), photos("rich")
    level = ["--method", "cfa", "--cfa.levels", "[{k: [3]}]"]
    ask("rich", *level)
    deleted = before[2]["path"][4]
    change = ["--run", "rich", "--add", "data/query", new[0], "--delete", deleted]
    extract_features.main(change)
    query, gallery, index = stored("rich")
    assert gallery[:8].tobytes() == np.delete(before[1], 4, axis=0).tobytes()
    np.testing.assert_allclose(gallery[8:], query, atol=1e-5)
    assert index["path"] == before[2]["path"][:4] + before[2]["path"][5:] + sorted(new)
    assert index["label"][8:] == [os.path.basename(os.path.dirname(path)) for path in sorted(new)]
    capsys.readouterr()
    fitted = CFA(levels=[{"k": [3]}], tolerance=1e-6).fit(gallery)
    check(ask("rich", *level), fitted.transform(query) @ fitted.gallery_.T, "rich", 10)
    # Four of nine have changed: all is fitted anew, and says so.
    assert "4 images were added or deleted since 9 were fitted, more than 25%: building it" in capsys.readouterr().out
    present = files.read_json(os.path.join(GALLERY.format("rich"), "meta.json"))
    extract_features.main(change)  # nothing is left to do
    assert files.read_json(os.path.join(GALLERY.format("rich"), "meta.json")) == present
    assert present["deleted"] == [deleted] and present["rows"] == 11
    extract_features.main(["--run", "rich", "--add", deleted])
    meta = files.read_json(os.path.join(GALLERY.format("rich"), "meta.json"))
    assert meta["deleted"] == [] and meta["key"] == present["key"]
    np.testing.assert_allclose(stored("rich")[1][11], before[1][4], atol=1e-5)


def test_an_addition_that_is_killed_goes_on(project, monkeypatch):
    from slim_retrieval.common.feature_store import FeatureWriter
    from slim_retrieval.training import gallery_changes
    before, real = stored("plain"), FeatureWriter.append
    monkeypatch.setattr(gallery_changes, "BATCH", 1)
    counted = []

    def killed(self, *arguments, **named):
        if len(counted) == 3:  # the old rows, and two new ones
            raise KeyboardInterrupt
        counted.append(len(arguments[0]))
        real(self, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(FeatureWriter, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            gallery_changes.add("runs/plain", ["data/query"])
    np.testing.assert_array_equal(stored("plain")[1], before[1])
    counted.clear()
    with monkeypatch.context() as patched:
        patched.setattr(FeatureWriter, "append", killed)
        assert gallery_changes.add("runs/plain", ["data/query"]) == 3
    assert counted == [1]
    np.testing.assert_allclose(stored("plain")[1][9:], before[0], atol=1e-5)
