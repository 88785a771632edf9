import os

import numpy as np
import pytest

from slim_retrieval.common import files
from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cfa, pipeline, sources


def source(n, seed, d=6, common=0.0):
    rows = np.random.RandomState(seed).randn(n, d) + common
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    digest = files.digest(rows)
    return sources.Source(rows, digest, digest, None, "memory")


def settings(**overrides):
    return to_plain(resolve(None, {key.replace("__", "."): str(value) for key, value in overrides.items()}))


def test_none_ranks_by_inner_product(tmp_path):
    query, gallery = source(5, 0), source(30, 1)
    ranks, record = pipeline.retrieve("none", settings(), query, gallery, folder=str(tmp_path))
    np.testing.assert_array_equal(ranks, np.argsort(-(query.features @ gallery.features.T), axis=1))
    assert record["k"] == 30 and record["num_queries"] == 5 and record["num_gallery"] == 30
    assert record["parameters"] == {} and record["graph_reused"] is False
    assert record["features_hash"] == {"query": query.features_hash, "gallery": gallery.features_hash}


def test_cfa_equals_the_estimator_and_its_graph_is_stored(tmp_path):
    query, gallery = source(5, 0), source(40, 1)
    config = settings(retrieval__k=7, cfa__edges="knn")
    ranks, record = pipeline.retrieve("cfa", config, query, gallery, folder=str(tmp_path))
    model = cfa.CFA(edges="knn").fit(gallery.features)
    moved = model.transform(query.features)
    np.testing.assert_array_equal(ranks, np.argsort(-(moved @ model.gallery_.T), axis=1)[:, :7])
    assert set(record["stage_seconds"]) == {"graph", "fit", "transform", "search"}
    assert record["seconds"] == pytest.approx(sum(record["stage_seconds"].values()))
    assert record["parameters"]["edges"] == "knn" and record["report"]["levels"][0]["scales"][0]["k"] == [3, 5, 8, 12]
    assert (tmp_path / "graph" / ("knn-" + gallery.key) / "meta.json").exists()


@pytest.mark.parametrize("queries", ["auto", "joint"])
def test_automatic_cfa_has_its_graph_of_centred_features_stored_under_another_name(tmp_path, queries):
    query, gallery = source(5, 0, common=1.0), source(40, 1, common=1.0)
    ranks, _ = pipeline.retrieve("cfa", settings(cfa__queries=queries), query, gallery, folder=str(tmp_path))
    assert [path.name for path in (tmp_path / "graph").iterdir()] == ["knn-" + gallery.key + "-centred"]
    if queries == "auto":
        model = cfa.CFA().fit(gallery.features)
        moved = model.transform(query.features)
        np.testing.assert_array_equal(ranks, np.argsort(-(moved @ model.gallery_.T), axis=1))
    again, record = pipeline.retrieve("cfa", settings(cfa__queries=queries), query, gallery, folder=str(tmp_path))
    np.testing.assert_array_equal(again, ranks)
    assert record["graph_reused"] is True
    pipeline.retrieve("dba", settings(), query, gallery, folder=str(tmp_path))
    assert len(list((tmp_path / "graph").iterdir())) == 2


def test_a_reused_graph_is_said_and_its_building_time_counted(tmp_path, capsys):
    query, gallery = source(5, 0), source(40, 1)
    first_ranks, _ = pipeline.retrieve("cfa", settings(), query, gallery, folder=str(tmp_path))
    meta = str(tmp_path / "graph" / ("knn-" + gallery.key) / "meta.json")
    files.write_json(meta, dict(files.read_json(meta), seconds=1234.5))
    ranks, record = pipeline.retrieve("cfa", settings(), query, gallery, folder=str(tmp_path))
    np.testing.assert_array_equal(ranks, first_ranks)
    assert record["graph_reused"] is True and record["stage_seconds"]["graph"] == 1234.5 < record["seconds"]
    assert "graph: 1234.50 s (stored, not built again)" in capsys.readouterr().out


def test_inputs_that_do_not_go_together(tmp_path):
    with pytest.raises(InputError, match=r"query features have the shape \[5, 4\] and gallery features \[30, 6\]"):
        pipeline.retrieve("none", settings(), source(5, 0, 4), source(30, 1), folder=str(tmp_path))
    with pytest.raises(InputError, match="unknown method 'cfs' .did you mean cfa"):
        pipeline.retrieve("cfs", settings(), source(5, 0), source(30, 1), folder=str(tmp_path))
    labelled = source(20, 2, 5)._replace(labels=np.arange(20) % 2)
    with pytest.raises(InputError, match=r"train features have the shape \[20, 5\] and gallery features \[30, 6\]"):
        pipeline.retrieve("gfr", settings(), source(5, 0), source(30, 1), labelled, folder=str(tmp_path))


def test_a_ranking_never_lies_without_its_own_json(tmp_path, monkeypatch):
    ranks = np.array([[1, 0], [0, 1]], np.int32)
    path = pipeline.write(str(tmp_path), "cfa", ranks, {"method": "cfa"})
    np.testing.assert_array_equal(np.load(path), ranks)
    assert np.load(path).dtype == np.int32 and files.read_json(path[:-4] + ".json") == {"method": "cfa"}

    def full_disk(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(files, "write_json", full_disk)
    with pytest.raises(OSError, match="No space left"):
        pipeline.write(str(tmp_path), "new", ranks, {})
    with pytest.raises(OSError, match="No space left"):
        pipeline.write(str(tmp_path), "cfa", ranks[::-1], {"method": "newer"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cfa.json", "cfa.npy"]
    np.testing.assert_array_equal(np.load(path), ranks)  # the old pair stays


def test_a_crash_before_the_last_rename_leaves_no_ranking_beside_another_json(tmp_path, monkeypatch):
    path = pipeline.write(str(tmp_path), "cfa", np.zeros((2, 2), np.int32), {"method": "old"})
    rename = os.replace

    def killed(source, target):
        if target == path:
            raise KeyboardInterrupt
        rename(source, target)
    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        pipeline.write(str(tmp_path), "cfa", np.ones((2, 2), np.int32), {"method": "new"})
    assert not os.path.exists(path) and files.read_json(path[:-4] + ".json") == {"method": "new"}


@pytest.mark.parametrize("few, stored, wanted", [(100, 0, 39), (39, 0, 12), (39, 20, 20)])
def test_large_galleries_store_as_many_neighbours_as_the_method_takes(tmp_path, monkeypatch, few, stored, wanted):
    monkeypatch.setattr(pipeline, "FEW", few)
    query, gallery = source(5, 0), source(40, 1)
    pipeline.retrieve("cfa", settings(graph__neighbors=stored), query, gallery, folder=str(tmp_path))
    assert files.read_json(str(tmp_path / "graph" / ("knn-" + gallery.key) / "meta.json"))["k"] == wanted
