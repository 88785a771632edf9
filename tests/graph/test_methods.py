import dataclasses

import numpy as np
import pytest

from slim_retrieval.common import method_schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cfa, methods, plain

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


def test_a_method_that_learns_needs_features_and_labels():
    with pytest.raises(InputError, match="gfr must be trained on labelled features and there are none; .*--train F"):
        methods.check_training("gfr", {"checkpoint": ""}, None, None)
    with pytest.raises(InputError, match="there are no labels"):
        methods.check_training("gfr", {"checkpoint": ""}, object(), None)
    methods.check_training("gfr", {"checkpoint": "w.npz"}, None, None)
    methods.check_training("cfa", {}, None, None)
    assert not methods.needs_training("gfr", {"checkpoint": "w.npz"})
