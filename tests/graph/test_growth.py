"""A CFA whose gallery has changed against one fitted to the new gallery."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import centring, cfa_automatic, growth, signatures
from slim_retrieval.graph.cfa import CFA

CLASSES = 20
GIVEN = {
    "one scale": {"levels": [{"k": [6]}]},
    "several scales, two levels": {"levels": [{"k": [3, 6], "weights": [1, 2]}, {"k": [5], "alpha": 0.8}]},
    "union": {"levels": [{"k": [5]}], "edges": "knn", "queries": "appended"},
    "k-reciprocal": {"levels": [{"k": [6]}], "edges": "k_reciprocal"},
    "shared": {"levels": [{"k": [8]}], "edges": "shared", "gamma": 1.0},
}


def rows(n, seed, d=12, common=0.0):
    made = np.random.RandomState(9).randn(CLASSES, d)[np.arange(n) % CLASSES]
    made = made + 0.6 * np.random.RandomState(seed).randn(n, d) + common
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def changed(gallery, seed=1, common=0.0):
    """Return the gallery without 12 images, with 9 new ones, in another order."""
    random = np.random.RandomState(seed)
    after = np.concatenate([gallery[random.permutation(len(gallery))[12:]], rows(9, seed + 50, common=common)])
    return after[random.permutation(len(after))]


def solutions(model):
    """Return each system's solution, its rows not normalised."""
    for output, systems in zip(model.levels_, model.systems_):
        for system in systems:
            found = np.array(system.get("solution", output)[np.arange(len(model.gallery_))])
            for part, lengths in zip(model.parts_, system["lengths"]):
                found[:, part] *= lengths[:, None]
            yield found


def check(model, fitted, atol):
    """Compare everything that queries are answered from."""
    np.testing.assert_allclose(model.gallery_, fitted.gallery_, atol=atol)
    np.testing.assert_allclose(model.transform(rows(15, 7)), fitted.transform(rows(15, 7)), atol=atol)


@pytest.fixture()
def narrow(monkeypatch):
    monkeypatch.setattr(signatures, "EXACT_NODES", 50)
    monkeypatch.setattr(signatures, "WIDTH", 16)


@pytest.mark.parametrize("name", GIVEN)
def test_given_levels_come_to_what_a_fit_gives(name):
    gallery, settings = rows(200, 0), dict(GIVEN[name], tolerance=1e-5)
    after = changed(gallery)
    model = CFA(keep=True, **settings).fit(gallery)
    before = model.gallery_.copy()
    grown = growth.update(model, after, tolerance=1e-6)
    check(grown, CFA(**settings).fit(after), 2e-4)
    report = grown.report_["growth"]
    assert (report["added"], report["deleted"], report["converged"]) == (9, 12, True)
    np.testing.assert_array_equal(model.gallery_, before)


@pytest.mark.parametrize("common", [0.0, 1.5])
def test_automatic_ones_too_with_the_mean_and_the_random_images_of_the_fit(narrow, monkeypatch, common):
    gallery = rows(200, 0, common=common)
    model = CFA(keep=True).fit(gallery)
    assert (model.mean_ is not None) == (common > 0)
    grown = growth.update(model, changed(gallery, common=common), tolerance=1e-6)
    monkeypatch.setattr(cfa_automatic, "TOLERANCE", 1e-6)
    monkeypatch.setattr(centring, "choose", lambda array: model.mean_)
    monkeypatch.setattr(signatures, "centres", lambda *_: model.growth_["centres"])
    check(grown, CFA().fit(changed(gallery, common=common)), 2e-3)  # normalising shows small rows' errors larger


@pytest.mark.parametrize("name", ["one scale", "several scales, two levels"])
def test_the_error_stated_is_not_below_the_error_measured(name):
    gallery = rows(200, 0)
    model = CFA(keep=True, **GIVEN[name]).fit(gallery)
    after = np.concatenate([gallery[1:], rows(1, 3)])
    grown = growth.update(model, after)
    exact = CFA(keep=True, tolerance=1e-6, **GIVEN[name]).fit(after)
    # Only of the first level: the second one's graph is the same, its input is not.
    for found, true, report, _ in zip(solutions(grown), solutions(exact), grown.report_["levels"][0]["scales"], "ab"):
        assert 0 < np.linalg.norm(found - true) / np.linalg.norm(found) <= report["error"] <= 0.1


def test_ten_updates_do_not_drift_apart(narrow):
    gallery, random = rows(300, 0), np.random.RandomState(2)
    model = CFA(levels=[{"k": [6]}], keep=True).fit(gallery)
    for step in range(10):
        gallery = np.concatenate([np.delete(gallery, random.permutation(300)[:3], 0), rows(3, 60 + step)])
        model = growth.update(model, gallery)
    assert model.report_["growth"]["changed_since_fit"] == 60 and model.report_["growth"]["error"] < 0.1
    exact = CFA(levels=[{"k": [6]}], keep=True, tolerance=1e-6).fit(gallery)
    (found,), (true,) = solutions(model), solutions(exact)
    assert np.linalg.norm(found - true) / np.linalg.norm(found) <= model.report_["growth"]["error"]


def test_a_class_is_deleted_and_comes_again():
    gallery = rows(200, 0)
    model = CFA(keep=True, **GIVEN["one scale"]).fit(gallery)
    without = growth.update(model, gallery[np.arange(200) % CLASSES != 4], tolerance=1e-6)
    check(without, CFA(**GIVEN["one scale"]).fit(without.original_), 2e-3)
    again = growth.update(without, gallery, tolerance=1e-6)
    check(again, model, 2e-3)
    assert again.growth_["changed"] == 20


def test_the_same_gallery_changes_nothing_and_duplicates_are_images_of_their_own():
    gallery = rows(200, 0)
    model = CFA(keep=True, **GIVEN["one scale"]).fit(gallery)
    same = growth.update(model, gallery)
    assert same.report_["growth"]["share"] == 0
    check(same, model, 1e-6)
    twice = np.concatenate([gallery, gallery[:4]])
    grown = growth.update(model, twice, tolerance=1e-6)
    assert grown.report_["growth"]["added"] == 4
    np.testing.assert_allclose(grown.gallery_, CFA(**GIVEN["one scale"]).fit(twice).gallery_, atol=2e-3)


@pytest.mark.parametrize("settings, before, after, reason", [
    ({}, 100, 101, "up to 2048 images are fitted in a moment"),
    ({"levels": [{"k": [4], "cells": 2}]}, 100, 101, "and cells, change as a whole"),
    ({"levels": [{"k": [4]}, {"k": [3]}], "graph_from": "previous"}, 100, 101, "graphs from the level before"),
    ({"levels": [{"k": [30]}]}, 10, 12, "12 images call for other scales than 10 did"),
    ({"levels": [{"k": [4]}]}, 100, 130, "30 images were added or deleted since 100 were fitted, more than 25%"),
])
def test_what_has_to_be_fitted_anew_says_why(settings, before, after, reason):
    model = CFA(keep=True, **settings).fit(rows(after, 0)[:before])
    with pytest.raises(InputError, match=reason):
        growth.update(model, rows(after, 0))


def test_more_scales_for_more_images_and_a_cfa_that_kept_nothing(narrow):
    model = CFA(keep=True).fit(rows(700, 0))  # 0.75 sqrt(700) is 19.8, of 712 20.01
    assert growth.changes(model, rows(710, 0)).anew is None
    assert growth.changes(model, rows(712, 0)).anew == "712 images call for other scales than 700 did"
    with pytest.raises(InputError, match="without what growing needs"):
        growth.update(CFA().fit(rows(60, 0)), rows(61, 0))


def test_edges_of_other_features_are_refused():
    model = CFA(keep=True, **GIVEN["one scale"]).fit(rows(100, 0), edge_features=rows(100, 5))
    with pytest.raises(InputError, match="edges come from more than the gallery's features"):
        growth.update(model, rows(101, 0))


def test_bad_new_images_are_refused():
    model = CFA(keep=True, **GIVEN["one scale"]).fit(rows(100, 0))
    with pytest.raises(InputError, match="new features: row 1 holds NaN"):
        growth.update(model, np.concatenate([rows(100, 0), rows(1, 4), np.full((1, 12), np.nan, np.float32)]))
