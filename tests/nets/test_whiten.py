import json
import os

import numpy as np
import pytest

from slim_retrieval.common import feature_store
from slim_retrieval.common.errors import InputError
from slim_retrieval.nets import whiten
from slim_retrieval.nets.whitening import fit_lw, fit_pca

FEATURES = np.random.RandomState(0).randn(12, 4).astype(np.float32)
META = {"checkpoint": "model.ckpt-7", "weights": "raw", "end_point": "embedding", "pooling": "average", "gem_p": 3.0,
        "resize": "square", "views": {"scales": [1.0], "flip": False, "aggregate": "mean"}, "whitening": None}


@pytest.fixture
def run(tmp_path):
    """A run with features of train and query."""
    path = tmp_path / "runs" / "r"
    for split in ("train", "query"):
        writer = feature_store.FeatureWriter(str(path / "features" / split), 4, "key")
        writer.append(FEATURES, 12)
        labels = ["ab"[i % 2] if i else "" for i in range(12)]
        writer.finish({"path": [str(i) for i in range(12)], "label": labels}, META)
    (path / "config.yaml").write_text("{}")
    return path


def fit(run, *arguments):
    whiten.main(["--run", str(run)] + list(arguments))


def refused(capsys, run, *arguments):
    with pytest.raises(SystemExit) as stop:
        fit(run, *arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.rstrip("\n").split("\n")[-1]


@pytest.mark.parametrize("kind", ["pca", "lw"])
def test_the_artefact_and_its_provenance(run, kind, capsys):
    fit(run, "--kind", kind, "--dimension", "2", "--shrinkage", "0.1", "--name", "w")
    assert "12 rows of train, 4 -> 2 dimensions" in capsys.readouterr().out
    rows = np.load(str(run / "features" / "train" / "features.npy"))
    labels = np.array([-1] + [i % 2 for i in range(1, 12)])  # the first has none
    expected = fit_pca(rows, None, 2, 0.1) if kind == "pca" else fit_lw(rows, labels, 2, 0.1)
    mean, projection, record = whiten.load(str(run), "w", META)
    np.testing.assert_array_equal(mean, expected[0])
    np.testing.assert_array_equal(projection, expected[1])
    assert {key: record[key] for key in ("name", "kind", "split", "dimension", "rows", "forced", "shrinkage")} == {
        "name": "w", "kind": kind, "split": "train", "dimension": 2, "rows": 12, "forced": False, "shrinkage": 0.1}
    with open(str(run / "whitening" / "w.json")) as stream:
        made = json.load(stream)
    with open(str(run / "features" / "train" / "meta.json")) as stream:
        assert made["features_hash"] == json.load(stream)["features_hash"]
    assert whiten.load(str(run), str(run / "whitening" / "w"), META)[2]["hash"] == made["hash"]


def test_what_is_evaluated_is_refused_unless_forced(run, capsys):
    for split in ("query", "gallery"):
        assert "--split {} is what is evaluated".format(split) in refused(capsys, run, "--split", split)
    assert not os.path.exists(str(run / "whitening"))
    fit(run, "--split", "query", "--force")
    assert whiten.load(str(run), "pca", META)[2]["forced"] is True


def test_features_of_another_kind_are_refused(run):
    fit(run)
    for key, other in (("checkpoint", "model.ckpt-9"), ("end_point", "stage_2"), ("pooling", "max"), ("gem_p", 2.0),
                       ("resize", "aspect, multiples of 32"),
                       ("views", dict(META["views"], flip=True))):
        with pytest.raises(InputError) as error:
            whiten.load(str(run), "pca", dict(META, **{key: other}))
        said = str(error.value)
        assert "was fitted on features of {} ".format(key) in said and "but {!r} is extracted".format(
            dict(META["views"], flip=True) if key == "views" else other) in said


def test_mistakes(run, capsys):
    assert "no features in " in refused(capsys, run, "--split", "validation")
    assert "has no column labl (did you mean label?)" in refused(capsys, run, "--kind", "lw", "--label", "labl")
    assert "--shrinkage is 2.0" in refused(capsys, run, "--shrinkage", "2")
    assert "unknown --kind 'pcaw' (did you mean pca?)" in refused(capsys, run, "--kind", "pcaw")
    fit(run)
    with pytest.raises(InputError, match="no whitening pcs .did you mean pca.. in "):
        whiten.load(str(run), "pcs", META)
    meta = run / "features" / "train" / "meta.json"
    meta.write_text(json.dumps(dict(META, whitening={"name": "pca"})))
    assert "are whitened already" in refused(capsys, run)
