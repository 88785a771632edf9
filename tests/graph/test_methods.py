import dataclasses

import numpy as np
import pytest

from slim_retrieval.common import method_schema
from slim_retrieval.graph import cfa, gfr, methods, plain

SECTIONS = {"none": {}, "alpha_qe": dataclasses.asdict(method_schema.AlphaQEConfig()),
            "cfa": dataclasses.asdict(method_schema.CFAConfig())}


def unit_rows(n, d, seed):
    rows = np.random.RandomState(seed).randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_method_is_an_estimator_that_changes_no_input(name):
    """The defaults of the schema are accepted as they are, and gallery and queries come out untouched."""
    gallery, queries = unit_rows(40, 6, 0), unit_rows(5, 6, 1)
    before = gallery.copy(), queries.copy()
    estimator = methods.METHODS[name](SECTIONS[name], seed=0)
    assert estimator.fit(gallery) is estimator
    moved = estimator.transform(queries)
    fitted = estimator.gallery_.copy()
    np.testing.assert_array_equal(estimator.transform(queries), moved)
    np.testing.assert_array_equal(estimator.gallery_, fitted)
    np.testing.assert_array_equal(gallery, before[0])
    np.testing.assert_array_equal(queries, before[1])
    width = {"cfa": 46}.get(name, 6)  # automatic CFA: 40 signature columns and the feature
    for rows, n in ((moved, 5), (fitted, 40)):
        assert rows.shape == (n, width) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert isinstance(estimator.report_, dict)


def test_none_is_the_identity():
    gallery = unit_rows(4, 3, 0)
    model = plain.Plain().fit(gallery)
    assert model.gallery_ is gallery and model.transform(gallery) is gallery


def test_the_number_of_neighbours_comes_from_the_settings():
    estimator = cfa.CFA(levels=[{"k": [4, 70]}, {"k": [9]}])
    assert estimator.needed_neighbors(1000) == 70
    assert estimator.needed_neighbors(50) == 49


def test_only_gfr_without_a_checkpoint_has_to_learn():
    assert methods.needs_training("gfr", {"checkpoint": ""})
    assert not methods.needs_training("gfr", {"checkpoint": "w.npz"}) and not methods.needs_training("cfa", {})


def test_a_checkpoint_brings_its_settings_but_what_is_done_with_queries_is_asked_for_now(tmp_path):
    path, rows = str(tmp_path / "w.npz"), unit_rows(80, 6, 0)
    gallery = rows + 0.3 * unit_rows(8, 6, 1)[np.arange(80) % 8] * 8
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    gfr.GFR(neighbors=5).learn(gallery).save(path)
    section = dict(dataclasses.asdict(method_schema.GFRConfig(checkpoint=path, neighbors=9)))
    near, alone = (methods.METHODS["gfr"](dict(section, queries=queries), 0) for queries in ("neighbors", "alone"))
    assert near.options.neighbors == alone.options.neighbors == 5
    queries = unit_rows(5, 6, 1)
    expected = near.fit(gallery).transform(queries, alone=True)
    np.testing.assert_array_equal(alone.fit(gallery).transform(queries), expected)
    assert np.abs(near.transform(queries) - expected).max() > 0.01
