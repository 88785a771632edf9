"""Extraction end to end on tiny images and a run that the test writes: values, resume, and each mistake as one line."""
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import extract_features
from slim_retrieval.common import jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.factory import read_split
from slim_retrieval.datasets.images import encode_png
from slim_retrieval.nets.extraction import FeatureNetwork
from slim_retrieval.nets.model import build_model
from slim_retrieval.training import extraction_tasks

SCRIPT = os.path.abspath(extract_features.__file__)
MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "embedding_size": 5}
# Class -> number of images; in the order of the rows.
SPLITS = {"query": {"a": 4, "b": 3}, "gallery": {"a": 2, "b": 1, "c": 2}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return (folder with images and a trained run, {path: its expected embedding and pooled stage_2})."""
    folder, random = tmp_path_factory.mktemp("made"), np.random.RandomState(0)
    paths, images = [], []
    for split, classes in SPLITS.items():
        for name, count in classes.items():
            (folder / "data" / split / name).mkdir(parents=True)
            for i in range(count):
                paths.append(os.path.join("data", split, name, "{}.png".format(i)))
                images.append(random.randint(0, 256, (12, 12, 3)).astype(np.uint8))
                Image.fromarray(images[-1]).save(str(folder / paths[-1]))
    run = folder / "runs" / "demo"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({
        "run": {"name": "demo"}, "model": MODEL, "extraction": {"batch_size": 3},
        "data": {"path": "data", "query": {"source": "query"}, "gallery": {"source": "gallery"}}}))
    os.symlink("demo", str(folder / "runs" / "latest"))
    model = dict(asdict(ModelConfig()), **MODEL)
    (run / "checkpoints" / "model.json").write_text(json.dumps(
        {"model": model, "preprocessing": "minus_one_to_one", "classes": {"label": ["a", "b"]}}))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        inputs = tf.placeholder(tf.float32, [None, 12, 12, 3])
        network = build_model(inputs, model, {"label": 2})
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(run / "checkpoints" / "model.ckpt"), global_step=7)
        raw, stage = session.run([network.raw, network.end_points["stage_2"]], {inputs: np.array(images)})
    return folder, {path: (unit(e), unit(s)) for path, e, s in zip(paths, raw, stage.max(axis=(1, 2)))}


@pytest.fixture()
def project(made, tmp_path, monkeypatch):
    """A copy of what was made, as the current directory."""
    shutil.copytree(str(made[0]), str(tmp_path / "p"), symlinks=True)
    monkeypatch.chdir(str(tmp_path / "p"))
    yield tmp_path / "p"
    jobs.choose("serial", None)


@pytest.fixture()
def calls(monkeypatch):
    """A list of the batch sizes that the network was given."""
    sizes, call = [], FeatureNetwork.several

    def counted(self, images, tower=0):
        sizes.append(len(images))
        return call(self, images, tower)

    monkeypatch.setattr(FeatureNetwork, "several", counted)
    return sizes


def unit(vector):
    return vector / np.linalg.norm(vector.astype(np.float64))


def extract(*arguments):
    extract_features.main(list(arguments))


def failure(capsys, *arguments):
    """Run in this process, expect exit 2 and one line of error; return that line."""
    with pytest.raises(SystemExit) as stop:
        extract(*arguments)
    lines = capsys.readouterr().err.rstrip("\n").split("\n")
    assert stop.value.code == 2 and lines[-1].startswith("error: ")
    assert len([line for line in lines if line.startswith(("error: ", "Traceback"))]) == 1
    return lines[-1]


def read(split, run="runs/demo"):
    """Return (features, columns of the index, meta)."""
    folder = os.path.join(run, "features", split)
    assert sorted(os.listdir(folder)) == ["features.npy", "index.csv", "meta.json"]
    with open(os.path.join(folder, "index.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    with open(os.path.join(folder, "meta.json")) as stream:
        return np.load(os.path.join(folder, "features.npy")), rows, json.load(stream)


def paths_of(split):
    return [os.path.join("data", split, name, "{}.png".format(i))
            for name, count in SPLITS[split].items() for i in range(count)]


def check(split, made, kind=0, without=()):
    """Compare the split's features and index with what is expected; return its meta."""
    features, rows, meta = read(split)
    expected = [path for path in paths_of(split) if path not in without]
    assert [row["path"] for row in rows] == expected
    assert [row["label"] for row in rows] == [path.split(os.sep)[2] for path in expected]
    assert features.dtype == np.float32 and meta["rows"] == len(expected) and meta["width"] == features.shape[1]
    np.testing.assert_allclose(features, [made[1][path][kind] for path in expected], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features.astype(np.float64), axis=1), 1, atol=1e-6)
    return meta


def truncate(path):
    """Leave the first half of a file."""
    with open(path, "rb") as stream:
        content = stream.read()
    with open(path, "wb") as stream:
        stream.write(content[:len(content) // 2])


def add_truncated_jpeg(path):
    Image.fromarray(np.random.RandomState(5).randint(0, 256, (40, 40, 3)).astype(np.uint8)).save(path)
    truncate(path)


def test_as_a_user_runs_it(project, made):
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "27 variables restored" in done.stderr and "device:CPU:0" in done.stderr
    assert "query: 7 features of width 5" in done.stderr
    for split in SPLITS:  # 7 and 5 images in batches of 3
        meta = check(split, made)
        assert {key: meta[key] for key in ("split", "checkpoint", "preprocessing", "end_point", "pooling", "whitening",
                                           "skipped")} == {
            "split": split, "checkpoint": "model.ckpt-7", "preprocessing": "minus_one_to_one",
            "end_point": "embedding", "pooling": "average", "whitening": None, "skipped": []}
        assert meta["model"]["network"] == "small_cnn" and meta["features_hash"] and meta["versions"]["tensorflow"]
    assert sorted(os.listdir("runs/demo/features")) == ["gallery", "query"]


def test_again_does_nothing_however_the_run_is_named(project, capsys, calls):
    extract()
    assert calls == [3, 3, 1, 3, 2]
    before = os.stat("runs/demo/features/query/features.npy")
    for name in ("demo", "runs/demo", str(project / "runs" / "demo")):
        capsys.readouterr()
        extract("--run", name)
        assert capsys.readouterr().err.count("already extracted from this checkpoint") == 2
    after = os.stat("runs/demo/features/query/features.npy")
    assert len(calls) == 5 and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_newer_checkpoint_is_extracted_anew(project, calls):
    extract("--extraction.splits", "[query]")
    for name in os.listdir("runs/demo/checkpoints"):
        if "ckpt-7" in name:
            shutil.copy("runs/demo/checkpoints/" + name, "runs/demo/checkpoints/" + name.replace("-7", "-11"))
    extract("--extraction.splits", "[query]")
    assert calls == 2 * [3, 3, 1] and read("query")[2]["checkpoint"] == "model.ckpt-11"


@pytest.mark.parametrize("end_point", ["stage_2", "small_cnn/conv_2_2/Relu:0"])
def test_another_end_point_with_another_pooling(project, made, end_point):
    extract("--extraction.end_point", end_point, "--model.pooling", "max", "--extraction.splits", "[gallery]")
    meta = check("gallery", made, kind=1)
    assert (meta["end_point"], meta["pooling"]) == (end_point, "max")
    extract("--extraction.splits", "[gallery]")
    check("gallery", made)


def test_unreadable_image_stops(project, capsys):
    add_truncated_jpeg("data/query/a/9.jpg")
    line = failure(capsys)
    assert os.path.join("data", "query", "a", "9.jpg") in line and "skip_unreadable" in line
    assert not os.path.exists("runs/demo/features/query")


@pytest.mark.parametrize("flag", [["--skip_unreadable"], ["--extraction.skip_unreadable", "true"]])
def test_unreadable_image_is_left_out_and_named(project, made, flag, calls):
    bad = os.path.join("data", "query", "a", "9.jpg")
    add_truncated_jpeg(bad)
    extract(*flag)
    assert check("query", made)["skipped"] == [[4, bad]]
    assert check("gallery", made)["skipped"] == []
    assert calls == [3, 2, 2, 3, 2]


# Rows of the query split, in batches of 2: whole batches at the start, in the middle, at the end; single images.
@pytest.mark.parametrize("bad", [[0, 1], [2, 3], [6], [4, 5, 6], [0, 1, 2, 3], [1, 4], [0, 1, 3, 4, 5]])
def test_features_and_index_agree_whatever_is_left_out(project, made, bad):
    bad_paths = [paths_of("query")[row] for row in bad]
    for path in bad_paths:
        truncate(path)
    extract("--skip_unreadable", "--extraction.batch_size", "2", "--extraction.splits", "[query]")
    assert check("query", made, without=bad_paths)["skipped"] == [list(pair) for pair in zip(bad, bad_paths)]


def test_nothing_can_be_read(project, made, capsys):
    for path in paths_of("query"):
        truncate(path)
    assert "none of the 7 images of query can be read" in failure(capsys, "--skip_unreadable")
    assert not os.path.exists("runs/demo/features/query")
    for path in paths_of("query"):
        shutil.copy(str(made[0] / path), path)
    extract("--skip_unreadable")
    assert check("query", made)["skipped"] == []


def test_what_was_done_before_an_unreadable_image_is_kept(project, made, capsys, calls):
    bad = paths_of("query")[4]
    truncate(bad)
    failure(capsys, "--extraction.splits", "[query]")
    assert calls == [3]
    extract("--extraction.splits", "[query]", "--skip_unreadable")
    assert calls == [3, 2, 1]
    check("query", made, without=[bad])


def test_repaired_images_come_back(project, made, calls):
    bad = paths_of("query")[1]
    truncate(bad)
    extract("--extraction.splits", "[query]", "--skip_unreadable")
    shutil.copy(str(made[0] / bad), bad)
    extract("--extraction.splits", "[query]")
    assert calls == [2, 3, 1, 3, 3, 1]
    assert check("query", made)["skipped"] == []


def test_records_of_the_same_name_are_told_apart(project, made):
    def record(content, label):
        def feature(**values):
            return tf.train.Feature(**values)
        return tf.train.Example(features=tf.train.Features(feature={
            "image/encoded": feature(bytes_list=tf.train.BytesList(value=[content])),
            "image/filename": feature(bytes_list=tf.train.BytesList(value=[b"photo.png"])),
            "image/class/label": feature(int64_list=tf.train.Int64List(value=[label]))})).SerializeToString()

    sources = [paths_of("query")[i] for i in (0, 1, 2)]
    contents = [encode_png(np.array(Image.open(path))) for path in sources]
    with tf.python_io.TFRecordWriter("data/q.tfrecord") as writer:
        for label, content in enumerate([contents[0], contents[1][:100], contents[2]]):
            writer.write(record(content, label))
    extract("--data.reader", "tfrecord", "--data.query.source", "q.tfrecord", "--extraction.splits", "[query]",
            "--skip_unreadable")
    features, rows, meta = read("query")
    assert [row["label"] for row in rows] == ["0", "2"] and meta["skipped"] == [[1, "photo.png"]]
    np.testing.assert_allclose(features, [made[1][sources[0]][0], made[1][sources[2]][0]], atol=1e-5)


ASPECT = ["--extraction.resize", "aspect", "--extraction.multiple", "4", "--extraction.devices", "[/cpu:0, /cpu:1]"]


# Killed at the given call; what is left: with squares the last batch of 1, else the second shard (rows 4 to 6).
@pytest.mark.parametrize("more, kill, left", [([], 3, [1]), (ASPECT + ["--extraction.batch_size", "1"], 5, [1, 1, 1])])
def test_killed_and_resumed_gives_the_same_bits(project, calls, monkeypatch, more, kill, left):
    truncate(paths_of("query")[2])
    for row, size in ((0, (8, 12)), (3, (12, 8)), (6, (20, 30))):
        Image.open(paths_of("query")[row]).resize(size).save(paths_of("query")[row])
    monkeypatch.setattr(extraction_tasks, "SIZES_AT_ONCE", 2)
    arguments = ["--skip_unreadable", "--extraction.splits", "[query]"] + more
    extract(*arguments)
    whole = read("query")
    assert whole[2]["resize"] == ("aspect, multiples of 4" if more else "square")
    shutil.rmtree("runs/demo/features")
    code = "\n".join([
        "import os, signal", "from slim_retrieval.nets.extraction import FeatureNetwork as N",
        "from slim_retrieval.commands import extract_features", "from slim_retrieval.training import extraction_tasks",
        "call, count = N.several, []",
        "def killed(self, images, tower):", "    count.append(1)",
        "    if len(count) == {}: os.kill(os.getpid(), signal.SIGKILL)".format(kill),
        "    return call(self, images, tower)",
        "N.several, extraction_tasks.SIZES_AT_ONCE = killed, 2", "extract_features.main({!r})".format(arguments)])
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir("runs/demo/features") == [".query.partial"]
    with open("runs/demo/features/.query.partial/features.npy", "ab") as stream:
        stream.write(b"half a row")
    del calls[:]
    extract(*arguments)
    assert calls == left
    resumed = read("query")
    assert resumed[0].tobytes() == whole[0].tobytes() and resumed[1:] == whole[1:]
    assert os.listdir("runs/demo/features") == ["query"]


TASKS = ["--backend", "threading", "--workers", "1", "--extraction.splits", "[query]"]


def test_tasks_give_the_same_bits_and_go_on_with_those_that_are_missing(project, calls, capsys, monkeypatch):
    monkeypatch.setattr(extraction_tasks, "ROWS", 4)  # whole batches: tasks of 3, 3 and 1
    extract("--extraction.splits", "[query]", "--extraction.more_end_points", "[stage_2]")
    whole = read("query"), read("query.stage_2")
    shutil.rmtree("runs/demo/features")
    del calls[:]
    bad = paths_of("query")[4]
    content = open(bad, "rb").read()
    truncate(bad)
    assert os.path.abspath(bad) in failure(capsys, *TASKS + ["--extraction.more_end_points", "[stage_2]"])
    assert calls == [3] and not os.path.exists("runs/demo/features/query")
    with open(bad, "wb") as stream:
        stream.write(content)
    extract(*TASKS + ["--extraction.more_end_points", "[stage_2]"])
    assert calls == [3, 3, 1] and "1 of 3 tasks are done already" in capsys.readouterr().out
    for before, after in zip(whole, (read("query"), read("query.stage_2"))):
        assert before[0].tobytes() == after[0].tobytes() and before[1:] == after[1:]
    assert not os.path.exists("runs/demo/tasks")


def test_tasks_leave_out_what_cannot_be_read(project, made, monkeypatch):
    monkeypatch.setattr(extraction_tasks, "ROWS", 2)
    bad = paths_of("query")[:3] + paths_of("query")[5:6]  # a whole task, and one of the middle of another
    for path in bad:
        truncate(path)
    extract("--skip_unreadable", *TASKS)
    assert check("query", made, without=bad)["skipped"] == [[row, paths_of("query")[row]] for row in (0, 1, 2, 5)]


@pytest.mark.long
def test_a_dask_worker_that_is_killed_while_it_extracts_changes_nothing(project, cluster, monkeypatch):
    arguments = ["--extraction.splits", "[query]", "--extraction.batch_size", "1"]
    extract(*arguments)
    whole = read("query")
    shutil.rmtree("runs/demo/features")
    monkeypatch.setattr(extraction_tasks, "ROWS", 1)
    killed = cluster.kill_one_when("runs/demo/tasks/*/features-*.npz")
    extract("--backend", "dask", "--scheduler", cluster.address, *arguments)
    assert 0 < killed() < 7
    found = read("query")
    assert found[0].tobytes() == whole[0].tobytes() and found[1:] == whole[1:]
    assert not os.path.exists("runs/demo/tasks")


def test_a_worker_that_sees_other_images_says_so(project, tmp_path):
    data = yaml.safe_load((project / "runs" / "demo" / "config.yaml").read_text())["data"]
    data = dict(data, reader="folder", query={"source": "query", "part": [0, 1]})
    table = read_split(data, "query", 0)
    os.remove(paths_of("query")[0])
    text = json.dumps([data, "query", 0, extraction_tasks.digest_of(table)])
    with pytest.raises(InputError, match="finds 6 images of split query in data, others than"):
        extraction_tasks.read_table(text)


@pytest.mark.parametrize("arguments, expected", [
    (["--model.depth_multiplier", "0.25"], ["model.depth_multiplier is 0.25", "trained with 0.125"]),
    (["--model.network", "mobilenet_v2"], ["model.network is 'mobilenet_v2'", "trained with 'small_cnn'"]),
    (["--model.image_size", "28"], ["model.image_size is 28", "trained with 12"]),
    (["--model.embedding_size", "0"], ["model.embedding_size is 0", "trained with 5"]),
    (["--model.pooling", "gem"], ["model.pooling is 'gem'", "trained with 'average'"]),
    (["--extraction.splits", "[qurey]"], ["unknown split in extraction.splits 'qurey' (did you mean query?)"]),
    (["--extraction.splits", "[train]"], ["none of the splits train has a source"]),
    (["--extraction.end_point", "stage2"], ["unknown end point stage2 (did you mean stage_2?)"]),
    (["--run", "dmeo"], ["no run dmeo (did you mean demo?)"]),
    (["--data.query.source", "quarry"], ["quarry"]),
])
def test_mistakes(project, capsys, arguments, expected):
    line = failure(capsys, *arguments)
    assert [text for text in expected if text not in line] == []
    assert not os.path.exists("runs/demo/features")


def test_another_preprocessing_is_refused(project, capsys):
    path = project / "runs" / "demo" / "checkpoints" / "model.json"
    path.write_text(path.read_text().replace("minus_one_to_one", "subtract_means"))
    line = failure(capsys)
    assert "trained with preprocessing 'subtract_means'" in line and "'minus_one_to_one'" in line


def test_no_checkpoint_is_an_error(project, capsys):
    # Never random weights.
    for name in os.listdir("runs/demo/checkpoints"):
        if "ckpt" in name:
            os.remove("runs/demo/checkpoints/" + name)
    assert "no checkpoint in " + os.path.join("runs", "demo", "checkpoints") in failure(capsys)
    os.remove("runs/demo/checkpoints/model.json")
    assert "no checkpoint in " + os.path.join("runs", "demo", "checkpoints") in failure(capsys)
    assert not os.path.exists("runs/demo/features")


def test_checkpoint_of_another_network(project, capsys):
    path = project / "runs" / "demo" / "checkpoints" / "model.json"
    path.write_text(path.read_text().replace('"depth_multiplier": 0.125', '"depth_multiplier": 0.25'))
    line = failure(capsys, "--model.depth_multiplier", "0.25")
    assert "small_cnn/conv_1_1/weights has shape [3, 3, 3, 3] there and [3, 3, 3, 6] here" in line


def test_end_points_are_listed_without_images_or_checkpoint(project, capsys):
    shutil.rmtree("runs/demo/checkpoints")
    shutil.rmtree("data")
    extract("--list_endpoints")  # of the newest run's network: 3 * 0.125 of 48 channels
    lines = capsys.readouterr().out.split("\n")
    assert [line.split() for line in lines if line.startswith("stage_2")] == [
        ["stage_2", "6", "x", "6", "x", "6", "216", "small_cnn/conv_2_2/Relu:0"]]
    extract("--list_endpoints", "--model.network", "small_cnn")  # at its own size and width
    assert "stage_3                                             8 x 8 x 128" in capsys.readouterr().out
    assert "did you mean small_cnn?" in failure(capsys, "--list_endpoints", "--model.network", "smal_cnn")


def test_several_end_points_have_folders_of_their_own(project, made, calls):
    extract("--extraction.more_end_points", "[stage_2]", "--model.pooling", "average", "--extraction.splits", "[query]")
    assert calls == [3, 3, 1]  # one pass
    features, rows, meta = read("query.stage_2")
    assert meta["end_point"] == "stage_2" and meta["split"] == "query" and meta["width"] == 6
    check("query", made)
    extract("--extraction.end_point", "stage_2", "--extraction.splits", "[query]")
    np.testing.assert_array_equal(read("query")[0], features)
    assert read("query")[1] == rows


def test_an_end_point_that_was_ahead_is_not_written_twice(project, made, calls):
    # As when the run was killed between the two: the first one's second batch was written, the other's was not.
    truncate(paths_of("query")[6])
    arguments = ["--extraction.more_end_points", "[stage_2]", "--extraction.splits", "[query]"]
    with pytest.raises(SystemExit):
        extract(*arguments)
    path = "runs/demo/features/.query.stage_2.partial/progress.json"
    state = json.loads(open(path).read())
    assert (state["next_row"], calls) == (6, [3, 3])
    open(path, "w").write(json.dumps(dict(state, next_row=3, written=3)))
    shutil.copy(str(made[0] / paths_of("query")[6]), paths_of("query")[6])
    extract("--extraction.batch_size", "2", *arguments)  # rows 3 and 4, 5 and 6
    assert calls == [3, 3, 2, 2]
    check("query", made)
    features = read("query.stage_2")[0]
    extract("--extraction.end_point", "stage_2", "--extraction.splits", "[query]")
    np.testing.assert_allclose(read("query")[0], features, atol=1e-6)


def test_whitening_is_applied_and_recorded(project, made):
    from slim_retrieval.nets import whiten
    extract()
    plain = {split: read(split)[0].astype(np.float64) for split in SPLITS}
    whiten.main(["--run", "demo", "--split", "gallery", "--dimension", "3", "--force"])
    extract("--extraction.whitening", "pca")
    mean, centred = plain["gallery"].mean(axis=0), plain["gallery"] - plain["gallery"].mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T.dot(centred) / len(centred))
    expected = (plain["query"] - mean).dot(vectors[:, -3:] / np.sqrt(values[-3:]))
    features, _, meta = read("query")
    # The sign of each direction is free: compare the similarities.
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(features.dot(features.T), expected.dot(expected.T), atol=1e-3)
    assert (meta["width"], meta["whitening"]["kind"], meta["whitening"]["forced"]) == (3, "pca", True)
    extract()
    np.testing.assert_array_equal(read("query")[0], plain["query"].astype(np.float32))


def test_mistakes_about_several_features(project, capsys):
    assert "no whitening pca in " in failure(capsys, "--extraction.whitening", "pca")
    assert "extraction.scales is empty" in failure(capsys, "--extraction.scales", "[]")
    assert "names one twice" in failure(capsys, "--extraction.more_end_points", "[stage_2, stage_2]")
    assert not os.path.exists("runs/demo/features")
