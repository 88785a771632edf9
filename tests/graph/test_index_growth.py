"""CFA's stored index while its gallery changes: what is read, what is said, what is there when it is killed."""
import os

import numpy as np
import pytest

from slim_retrieval.common import files
from slim_retrieval.common.config import resolve, to_plain
from slim_retrieval.graph import cfa_file, growth, index, index_lists, sources
from slim_retrieval.graph.cfa import CFA


def rows(n, seed=0, d=8):
    made = np.random.RandomState(9).randn(10, d)[np.arange(n) % 10] + 0.5 * np.random.RandomState(seed).randn(n, d)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture()
def ask(tmp_path, capsys):
    """Return a function that opens the index for a gallery and returns (Index, what was printed, was it read)."""
    def opened(gallery, **settings):
        config, read = to_plain(resolve()), []
        config["cfa"].update(dict({"levels": [{"k": [5], "weights": [], "alpha": 0.9, "cells": 1}]}, **settings))
        key = files.digest(gallery)

        def source():
            read.append(True)
            return sources.Source(gallery, key, key, None, "gallery"), None

        made = index.fitted("cfa", config, key, source, str(tmp_path))
        return made, capsys.readouterr().out, bool(read)

    return opened


def test_a_changed_gallery_updates_the_index_and_a_second_call_finds_it_done(ask):
    gallery = rows(100)
    first, told, _ = ask(gallery)
    assert "no index in" in told and "building it" in told
    after = np.concatenate([gallery[:3], rows(2, 5), gallery[4:]])
    grown, told, read = ask(after)
    assert read and "of another gallery: 2 images added and 1 deleted" in told and "building it" not in told
    expected = growth.update(CFA(levels=[{"k": [5], "alpha": 0.9}], keep=True).fit(gallery), after)
    np.testing.assert_allclose(grown.estimator.gallery_, expected.gallery_, atol=1e-5)
    again, told, read = ask(after)
    assert (told, read) == ("", False) and np.array_equal(again.estimator.gallery_, grown.estimator.gallery_)
    found, expected = (index.ask(one, rows(4, 6), 5)[0] for one in (again, index.Index(expected, {})))
    np.testing.assert_array_equal(found, expected)
    assert again.estimator.report_["growth"]["added"] == 2


def test_lists_for_the_search_are_kept_and_get_the_new_images(ask, monkeypatch):
    monkeypatch.setattr(index_lists, "LARGE", 0)
    gallery = rows(100)
    before, after = ask(gallery)[0].lists, np.concatenate([rows(2, 5), gallery[4:]])
    made, told, _ = ask(after)
    assert told.count("updating them") == 2 and "building" not in told
    assert ask(after)[1] == ""
    for name, lists in made.lists.items():
        np.testing.assert_array_equal(lists.centres, before[name].centres)
        np.testing.assert_array_equal(lists.rows, getattr(made.estimator, name)[lists.ids])
    exact = index.ask(index.Index(made.estimator, {}), after[:20], 1)[0]
    assert np.mean(index.ask(made, after[:20], 1)[0] == exact) > 0.9


def test_too_many_changes_and_other_settings_build_it_anew(ask):
    ask(rows(100))
    assert "more than 25%: building it" in ask(rows(140))[1]
    assert "of other settings: building it" in ask(rows(140), gamma=2.0)[1]


def test_an_update_that_is_killed_leaves_the_index_before(ask, tmp_path, monkeypatch, capsys):
    gallery = rows(100)
    first = ask(gallery)[0]
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ask(gallery[1:])
    capsys.readouterr()
    assert len(os.listdir(str(tmp_path / "index" / "cfa"))) == 3  # with arrays that no meta.json speaks of
    same, told, read = ask(gallery)
    assert (told, read) == ("", False) and np.array_equal(same.estimator.gallery_, first.estimator.gallery_)
    assert "0 images added and 1 deleted" in ask(gallery[1:])[1]
    assert len(os.listdir(str(tmp_path / "index" / "cfa"))) == 2


def test_a_damaged_index_is_built_again(ask, tmp_path):
    ask(rows(100))
    folder = str(tmp_path / "index" / "cfa")
    token = files.read_json(os.path.join(folder, "meta.json"))["token"]
    os.remove(os.path.join(folder, token, "growth_.ids.npy"))
    assert "is damaged" in ask(rows(100))[1]
    settings = files.read_json(os.path.join(folder, "meta.json"))["key"]
    assert len(cfa_file.load(folder, settings).gallery_) == 100
