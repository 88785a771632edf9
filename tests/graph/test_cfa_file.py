"""A CFA read from its files against the one that was fitted, bit by bit, and files that do not fit."""
import os

import numpy as np
import pytest

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cfa_file, growth
from slim_retrieval.graph.cfa import CFA

SETTINGS = {
    "automatic": {},
    "automatic, augmented": {"queries": "augmented", "residual": 0.5},
    "levels": {"levels": [{"k": [3, 6], "weights": [1, 2]}, {"k": [4], "alpha": 0.9, "cells": 2}]},
    "levels from previous": {"levels": [{"k": [3]}, {"k": [5]}], "graph_from": "previous", "queries": "appended"},
    "raw": {"levels": [{"k": [3]}], "queries": "raw"},
}


def rows(n, seed, d=8, shift=0.0):
    random = np.random.RandomState(seed)
    centres = np.random.RandomState(9).randn(5, d)
    made = (centres - centres.mean(axis=0))[np.arange(n) % 5] + 0.5 * random.randn(n, d) + shift
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def arrays(folder):
    """Return the folder of the arrays."""
    return os.path.join(folder, files.read_json(os.path.join(folder, "meta.json"))["token"])


def path_of(folder, name):
    return os.path.join(arrays(folder), name)


@pytest.fixture()
def saved(tmp_path):
    """Return (folder, the CFA that was saved there with the key "k")."""
    model = CFA().fit(rows(60, 1))
    cfa_file.save(model, str(tmp_path / "index"), "k", "g")
    return str(tmp_path / "index"), model


@pytest.mark.parametrize("shift", [0.0, 2.0], ids=["as they are", "centred"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_loaded_index_answers_as_the_fitted_one(tmp_path, name, shift):
    gallery, queries = rows(60, 1, shift=shift), rows(7, 2, shift=shift)
    model = CFA(**SETTINGS[name]).fit(gallery)
    expected = model.transform(queries)
    assert (model.mean_ is not None) == (shift > 0 and not model.levels)
    folder = str(tmp_path / "index")
    cfa_file.save(model, folder, "k", "g")
    loaded = cfa_file.load(folder, "k")
    assert isinstance(loaded.gallery_, np.memmap) and np.array_equal(loaded.gallery_, model.gallery_)
    found = loaded.transform(queries)
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes()
    assert loaded.transform(queries[2:3]).tobytes() == model.transform(queries[2:3]).tobytes()
    assert not any(name.startswith(".partial") for name in os.listdir(folder))


def test_edge_features_of_its_own_are_kept(tmp_path):
    gallery, queries, edges, near = rows(60, 1), rows(7, 2), rows(60, 3, d=4), rows(7, 4, d=4)
    model = CFA().fit(gallery, edge_features=edges)
    cfa_file.save(model, str(tmp_path), "k", "g")
    assert cfa_file.load(str(tmp_path), "k").transform(queries, near).tobytes() == model.transform(
        queries, near).tobytes()


def test_an_array_that_is_used_twice_is_stored_once(tmp_path):
    model = CFA(levels=[{"k": [3]}]).fit(rows(60, 1))  # its only level's output is gallery_, its edges' features x
    cfa_file.save(model, str(tmp_path), "k", "g")
    large = [name for name in os.listdir(arrays(str(tmp_path))) if np.load(path_of(str(tmp_path), name)).ndim == 2]
    assert sorted(large) == ["gallery_.npy", "original_.npy"]


def test_another_key_or_none_is_refused(saved, tmp_path):
    with pytest.raises(InputError, match="other settings"):
        cfa_file.load(saved[0], "other", "g")
    with pytest.raises(InputError, match="another gallery"):
        cfa_file.load(saved[0], "k", "other")
    assert np.array_equal(cfa_file.load(saved[0], "k", "g").gallery_, saved[1].gallery_)
    with pytest.raises(InputError, match="no index in"):
        cfa_file.load(str(tmp_path / "nothing"), "k")


@pytest.mark.parametrize("damage", ["cut", "other shape", "gone", "no meta", "half a meta"])
def test_damage_is_one_error_and_saving_again_mends_it(saved, damage):
    folder, model = saved
    path, meta = path_of(folder, "gallery_.npy"), os.path.join(folder, "meta.json")
    if damage == "cut":
        with open(path, "r+b") as stream:
            stream.truncate(os.path.getsize(path) // 2)
    elif damage == "other shape":
        np.save(path, np.ones((3, 2), np.float32))
    elif damage == "half a meta":
        with open(meta, "r+b") as stream:
            stream.truncate(50)
    else:
        os.remove(path if damage == "gone" else meta)
    with pytest.raises(InputError):
        cfa_file.load(folder, "k")
    cfa_file.save(model, folder, "k", "g")
    assert np.array_equal(cfa_file.load(folder, "k").gallery_, model.gallery_)


def test_a_second_index_takes_the_place_of_the_first(saved):
    folder, first = saved
    mapped = cfa_file.load(folder, "k")
    second = CFA(levels=[{"k": [3]}]).fit(rows(30, 5))
    cfa_file.save(second, folder, "2", "g")
    assert np.array_equal(cfa_file.load(folder, "2").gallery_, second.gallery_)
    kept = {name + ".npy" for name in files.read_json(os.path.join(folder, "meta.json"))["arrays"]}
    assert len(os.listdir(folder)) == 2 and set(os.listdir(arrays(folder))) == kept
    # One that is open still answers from its own files.
    assert mapped.transform(rows(4, 6)).tobytes() == first.transform(rows(4, 6)).tobytes()


def test_a_writer_that_is_killed_leaves_the_index_before(saved, monkeypatch):
    folder, first = saved
    real, written = files.write_array, []

    def killed(path, array):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(path, array)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_array", killed)
        with pytest.raises(KeyboardInterrupt):
            cfa_file.save(CFA().fit(rows(30, 5)), folder, "k", "h")
    assert os.path.isfile(written[0])
    assert cfa_file.load(folder, "k", "g").transform(rows(4, 6)).tobytes() == first.transform(rows(4, 6)).tobytes()
    cfa_file.save(first, folder, "k", "g")
    assert not os.path.exists(written[0]) and len(os.listdir(folder)) == 2


def test_what_growing_needs_is_kept(tmp_path):
    settings, gallery = {"levels": [{"k": [3, 5]}]}, rows(60, 1)
    model = CFA(keep=True, **settings).fit(gallery[:58])
    cfa_file.save(model, str(tmp_path), "k", "g")
    grown = growth.update(cfa_file.load(str(tmp_path), "k"), gallery)
    assert grown.gallery_.tobytes() == growth.update(model, gallery).gallery_.tobytes()
