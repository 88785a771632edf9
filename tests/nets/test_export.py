import dataclasses
import json
import os
import sys

import numpy as np
import pytest
import yaml

from slim_retrieval.common.machine import have
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import export, export_formats
from slim_retrieval.nets.model import build_model

# GeM: its floor is what TFLite's kernels stumble over.
MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "embedding_size": 4, "pooling": "gem"}
IMAGES = np.random.RandomState(7).randint(0, 256, (3, 12, 12, 3)).astype(np.float32)
MEAN, PROJECTION = np.array([0.1, -0.2, 0.3, 0.0]), np.random.RandomState(1).randn(4, 2)
VIEWS = {"scales": [1.0], "flip": False, "aggregate": "mean"}
ONNX = pytest.param("onnx", ".onnx", marks=pytest.mark.skipif(
    not (have("tf2onnx") and have("onnxruntime")), reason="the extra `export` is not installed"))


@pytest.fixture(scope="module")
def run(load_random, tmp_path_factory):
    """Return (a run's folder, the raw embedding and stage_2's mean on IMAGES, from the unfrozen graph)."""
    path = tmp_path_factory.mktemp("runs") / "r"
    for folder in ("checkpoints", "whitening"):
        (path / folder).mkdir(parents=True)
    options = dict(dataclasses.asdict(ModelConfig()), **MODEL)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 12, 12, 3])
        model = build_model(images, options)
        load_random(session)
        tf.train.Saver().save(session, str(path / "checkpoints" / "model.ckpt"), global_step=7)
        raw, stage = session.run([model.raw, model.end_points["stage_2"]], {images: IMAGES})
    (path / "checkpoints" / "model.json").write_text(json.dumps(
        {"model": options, "preprocessing": "minus_one_to_one"}))
    (path / "config.yaml").write_text(yaml.safe_dump({"model": MODEL}))
    np.savez(str(path / "whitening" / "w.npz"), mean=MEAN, projection=PROJECTION)
    (path / "whitening" / "w.json").write_text(json.dumps({
        "checkpoint": "model.ckpt-7", "end_point": "embedding", "pooling": "gem", "gem_p": 3.0, "views": VIEWS,
        "resize": "square", "kind": "pca", "split": "train", "label": None, "shrinkage": 0.0, "dimension": 2,
        "rows": 9, "forced": False, "hash": "h"}))
    gem = (np.maximum(stage.astype(np.float64), 1e-6) ** 3).mean(axis=(1, 2)) ** (1 / 3.0)
    return path, normalised(raw.astype(np.float64)), normalised(gem)


def normalised(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        export.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.rstrip("\n").split("\n")[-1]


def read(name, path):
    """Return [arrays] of a written network on IMAGES, the outputs in the order of the .json."""
    with open(path + ".json") as stream:
        described = json.load(stream)
    names = [output["name"] for output in described["outputs"]]
    assert described["input"]["shape"] == [1 if name == "tflite" else None, 12, 12, 3]
    if name == "frozen":
        graph = tf.GraphDef()
        with open(path, "rb") as stream:
            graph.ParseFromString(stream.read())
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(tf.import_graph_def(graph, {"images": tf.constant(IMAGES)}, names))
    if name == "saved_model":  # as TensorFlow 2 loads it
        with tf.Graph().as_default(), tf.Session() as session:
            load = sys.modules["tensorflow"].compat.v2.saved_model.load
            outputs = load(path).signatures["serving_default"](images=tf.constant(IMAGES))
            return session.run([outputs[key] for key in names])
    if name == "tflite":
        found = [export_formats.run_tflite(path, IMAGES[i:i + 1], names) for i in range(3)]
        return [np.concatenate([out[key] for out in found]) for key in names]
    import onnxruntime
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(names, {"images": IMAGES})


@pytest.mark.parametrize("name, ending", [("saved_model", ".saved_model"), ("frozen", ".pb"), ("tflite", ".tflite"),
                                          ONNX])
def test_pixels_in_whitened_and_normalised_features_out(run, name, ending, tmp_path, capsys):
    path, embedding, stage = run
    export.main(["--run", str(path), "--format", name, "--output", str(tmp_path / "new" / ("net" + ending)),
                 "--extraction.whitening", "w", "--extraction.checkpoint", "7",
                 "--extraction.more_end_points", "[stage_2]"])
    assert "feature [2], feature_stage_2 [6]; differs from the session by at most " in capsys.readouterr().out
    found = read(name, str(tmp_path / "new" / "net") + ending)
    np.testing.assert_allclose(found[0], normalised((embedding - MEAN).dot(PROJECTION)), atol=1e-5)
    np.testing.assert_allclose(found[1], stage, atol=1e-5)
    assert sorted(os.listdir(str(tmp_path / "new"))) == ["net" + ending, "net" + ending + ".json"]


def test_of_a_checkpoint_and_a_configuration(run, tmp_path):
    path, embedding, _ = run
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"model": MODEL}))
    export.main(["--config", str(tmp_path / "c.yaml"), "--checkpoint", str(path / "checkpoints" / "model.ckpt-7"),
                 "--format", "frozen", "--output", str(tmp_path / "net")])
    np.testing.assert_allclose(read("frozen", str(tmp_path / "net.pb"))[0], embedding, atol=1e-5)
    described = json.loads((tmp_path / "net.pb.json").read_text())
    assert described["outputs"] == [{"name": "feature:0", "shape": [None, 4], "end_point": "embedding",
                                     "l2_normalised": True, "whitening": None}]
    assert described["checkpoint"]["name"] == "model.ckpt-7"
    assert described["largest_difference_from_session"] <= 1e-5


@pytest.mark.parametrize("wrong", [0.001, np.nan])
def test_what_differs_from_the_session_is_not_kept(run, wrong, tmp_path, capsys, monkeypatch):
    (tmp_path / "net.pb").write_text("of before")
    kind = export_formats.FORMATS["frozen"]
    monkeypatch.setitem(export_formats.FORMATS, "frozen", kind._replace(run=lambda path, images, names: {
        key: rows + wrong for key, rows in kind.run(path, images, names).items()}))
    said = refused(capsys, "--run", run[0], "--format", "frozen,saved_model", "--output", tmp_path / "net")
    assert "net.pb: what frozen gives differs from the session by {}, allowed is 1e-04; not written".format(
        wrong) in said
    assert (tmp_path / "net.pb").read_text() == "of before"
    # The other format is not to blame.
    assert sorted(os.listdir(str(tmp_path))) == ["net.pb", "net.saved_model", "net.saved_model.json"]


def test_mistakes(run, tmp_path, capsys, monkeypatch):
    output = ["--output", tmp_path / "net"]
    assert "unknown --format 'onx' (did you mean onnx?); known: frozen, onnx, saved_model, tflite" in refused(
        capsys, "--run", run[0], "--format", "onx", *output)
    assert "--format names none of saved_model, frozen" in refused(
        capsys, "--run", run[0], "--format", ",", *output)
    assert "is a folder; give the beginning of the files' names" in refused(
        capsys, "--run", run[0], "--format", "frozen", "--output", str(tmp_path) + os.sep)
    assert "no whitening ww (did you mean w?)" in refused(
        capsys, "--run", run[0], "--format", "frozen", "--extraction.whitening", "ww", *output)
    assert "unknown end point stage_9 (did you mean stage_" in refused(
        capsys, "--run", run[0], "--format", "frozen", "--extraction.end_point", "stage_9", *output)
    assert "model.embedding_size is 5 but the checkpoint in " in refused(
        capsys, "--run", run[0], "--format", "frozen", "--model.embedding_size", "5", *output)
    assert "was kept as the best; " in refused(
        capsys, "--run", run[0], "--format", "frozen", "--extraction.checkpoint", "best", *output)
    assert "an export takes square images and is of one network, but extraction.resize is aspect" in refused(
        capsys, "--run", run[0], "--format", "frozen", "--extraction.resize", "aspect", *output)
    monkeypatch.setattr(export, "have", lambda module: False)
    assert refused(capsys, "--run", run[0], "--format", "onnx", *output) == (
        "error: --format onnx needs tf2onnx and onnxruntime; install with: pip install '.[export]' in the "
        "project's folder")
    assert os.listdir(str(tmp_path)) == []
