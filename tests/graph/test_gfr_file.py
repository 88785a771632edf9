"""Files of GFR: what is saved comes back, older files too, and files that contradict themselves are refused."""
import json

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_edge, gfr_edge_features, gfr_layers, gfr_metric, gfr_scorer
from slim_retrieval.graph.gfr import GFR

RICH = {"layer": "sage", "layers": 2, "neighbors": 3, "weighted": True, "residue": True, "concate": True,
        "combine": True}
# The options that files of format 1 hold.
FIRST = {"checkpoint": "", "layers": 2, "neighbors": 3, "aggregate": "mean", "weighted": False, "activate": True,
         "residue": True, "concate": False, "combine": False, "loss": "class", "omega": 0.1, "margin": 0.1, "epochs": 2,
         "batch_size": 64, "learning_rate": 0.001, "weight_decay": 5e-6, "milestones": [0.5]}


def unit_rows(n, d, seed=0):
    x = np.random.RandomState(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def metric(d, r):
    rng = np.random.RandomState(4)
    return gfr_metric.Metric(rng.normal(size=d).astype(np.float32), rng.normal(size=(d, r)).astype(np.float32))


def network(width=6, behind=None, **fields):
    """Return a GFR with weights of its own, as if it had learned."""
    model = GFR(**fields)
    model.width_, model.metric_ = width, behind
    model.weights_ = gfr_layers.initial(width if behind is None else behind.matrix.shape[1], model.options, seed=1)
    for i, layer in enumerate(model.weights_):
        for value in layer.values():
            value += np.random.RandomState(i).uniform(-0.1, 0.1, value.shape).astype(np.float32)
    return model


def edges():
    """Return a GFR of layers edge, as if it had learned."""
    model = GFR(seed=3, layers=4, neighbors=5)
    model.width_, model.metric_, model.weights_ = 6, metric(6, 4), []
    weight = np.random.RandomState(0).normal(size=gfr_edge_features.COUNT)
    model.edges_ = gfr_edge.Edges(gfr_scorer.Scorer(weight, 0.25), 2.0, 0.9, 0.5, 4)
    return model


@pytest.mark.parametrize("make", [
    lambda: network(**RICH), lambda: network(layer="gat", heads=2, pair_norm=True),
    lambda: network(layer="appnp", layers=3, behind=metric(6, 4)), lambda: network(layer="gcnii", jump="max"), edges])
def test_save_and_load_give_the_same_model(make, tmp_path):
    path = str(tmp_path / "deep" / "gfr.npz")
    gallery, queries = unit_rows(20, 6), unit_rows(4, 6, seed=1)
    model = make()
    model.report_ = {"loss": 0.5}
    model.save(path)
    loaded = GFR.load(path)
    assert loaded.options == model.options
    assert loaded.seed == model.seed
    assert loaded.report_ == {"loss": 0.5}
    np.testing.assert_array_equal(loaded.fit(gallery).gallery_, model.fit(gallery).gallery_)
    np.testing.assert_array_equal(loaded.transform(queries), model.transform(queries))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["gfr.npz"]


def test_files_of_the_first_format_still_load(tmp_path):
    """They named no kind of layer, for there was one."""
    path, gallery = str(tmp_path / "gfr.npz"), unit_rows(20, 6)
    model = network(layer="sage", layers=2, neighbors=3, aggregate="mean", activate=True, residue=True)
    arrays = {name + str(i): value for i, layer in enumerate(model.weights_) for name, value in layer.items()}
    meta = {"format": 1, "seed": 5, "width": 6, "options": FIRST, "report": {"loss": 1.0}}
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    loaded = GFR.load(path)
    assert loaded.seed == 5 and loaded.options.layer == "sage" and loaded.options.metric == "none"
    np.testing.assert_array_equal(loaded.fit(gallery).gallery_, model.fit(gallery).gallery_)


def rewrite(path, change, model):
    """Save a file of GFR with its arrays and meta passed through `change`."""
    model.save(path)
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(str(arrays.pop("meta")))
    change(arrays, meta)
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)


@pytest.mark.parametrize("change, words", [
    (lambda arrays, meta: meta.update(format=4), ["format 4", "reads 3"]),
    (lambda arrays, meta: meta["options"].update(agregate="max"), ["agregate", "did you mean aggregate"]),
    (lambda arrays, meta: meta["options"].update(aggregate="median"), ["median", "max, mean"]),
    (lambda arrays, meta: meta["options"].update(layers=3), ["P2", "none", "(6, 6)"]),
    (lambda arrays, meta: meta["options"].update(concate=True), ["W0", "(6, 6)", "(12, 6)"]),
    (lambda arrays, meta: meta.update(width=7), ["P0", "(6, 6)", "(7, 7)"]),
    (lambda arrays, meta: meta.pop("seed"), ["not a file that GFR.save wrote", "seed"]),
    # An array of objects is a pickle, and unpickling can run code.
    (lambda arrays, meta: arrays.update(P0=arrays["P0"].astype(object)), ["not a file that GFR.save wrote", "pickle"]),
])
def test_files_that_contradict_themselves_are_refused(tmp_path, change, words):
    path = str(tmp_path / "gfr.npz")
    rewrite(path, change, network(layer="sage", layers=2))
    with pytest.raises(InputError) as error:
        GFR.load(path)
    for word in ["gfr.npz"] + words:
        assert word in str(error.value)


@pytest.mark.parametrize("write", [
    lambda stream: stream.write(b""),
    lambda stream: stream.write(b"PK\x03\x04 no archive"),
    lambda stream: np.savez(stream, P0=np.eye(2)),
    lambda stream: np.save(stream, np.eye(2)),
])
def test_other_files_are_refused(tmp_path, write):
    path = str(tmp_path / "gfr.npz")
    with open(path, "wb") as stream:
        write(stream)
    with pytest.raises(InputError, match="gfr.npz is not a file that GFR.save wrote"):
        GFR.load(path)


@pytest.mark.parametrize("change, words", [
    (lambda arrays, meta: arrays.pop("scorer"), ["scorer", "none", "({},)".format(gfr_edge_features.COUNT + 1)]),
    (lambda arrays, meta: arrays.pop("mean"), ["mean", "none", "(6,)"]),
    (lambda arrays, meta: meta.update(width=7), ["mean", "(6,)", "(7,)"]),
    (lambda arrays, meta: arrays.update(propagation=np.ones(2)), ["propagation", "(2,)", "(4,)"]),
])
def test_files_of_layers_edge_that_contradict_themselves_are_refused(tmp_path, change, words):
    path = str(tmp_path / "gfr.npz")
    rewrite(path, change, edges())
    with pytest.raises(InputError) as error:
        GFR.load(path)
    for word in ["gfr.npz"] + words:
        assert word in str(error.value)
