import dataclasses

import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common import method_schema
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edge_denoising, pair_scores, side_information, side_labels, side_text
from slim_retrieval.graph.side_information import Side

FEATURES = np.array([[1, 0], [.8, .6], [.6, .8], [0, 1], [-.6, .8]], np.float32)
DENSE = np.clip(FEATURES @ FEATURES.T, 0, 1) * (1 - np.eye(5, dtype=np.float32))
DENSE[0, 2] = DENSE[2, 0] = 0
MATRIX = sparse.csr_matrix(DENSE)
LABELS = np.array([0, 0, 1, -1, 0])
TEXT = side_text.tfidf(["red shoe", "red hat", "hat", "", "shoe"])
PAIRS = (np.array([0, 3]), np.array([2, 4]), np.array([1, .5], np.float32))


def test_nothing_known_changes_nothing():
    found, report = side_information.apply(MATRIX, None, FEATURES)
    assert found is MATRIX and report == {}
    found, report = side_information.apply(MATRIX, Side(labels=np.full(5, -1)), FEATURES)
    np.testing.assert_array_equal(found.toarray(), DENSE)
    assert report["labels"]["known"] == 0 and report["edges_before"] == report["edges_after_labels"] == MATRIX.nnz // 2


def test_all_steps_in_their_order():
    near = side_text.neighbors(TEXT, 1)
    side = Side(labels=LABELS, modes=["add", "reweight", "veto"], trust=1, add_neighbors=1, agree=3, disagree=.5,
                text=TEXT, text_weight=.4, text_neighbors=near, pairs=PAIRS, pair_mode="replace", pair_scale=2,
                denoise="hubs")
    expected = pair_scores.combine(edge_denoising.hubs(MATRIX), PAIRS, "replace", 2)
    expected = side_text.mix(side_text.add(expected, near, FEATURES), TEXT, .4)
    expected = side_labels.reweight(side_labels.veto(expected, LABELS), LABELS, 3, .5)
    expected = side_labels.add(expected, LABELS, FEATURES, 1)
    found, report = side_information.apply(MATRIX, side, FEATURES)
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    np.testing.assert_array_equal(found.toarray(), found.toarray().T)
    assert found.dtype == np.float32 and not found.diagonal().any()
    np.testing.assert_array_equal(MATRIX.toarray(), DENSE)
    assert report["labels"]["trust"] == 1 and report["labels"]["believed"] == 4
    assert report["edges_after_labels"] == found.nnz // 2 and report["edges_before"] == MATRIX.nnz // 2


def test_labels_that_are_not_believed_do_not_act():
    """Label 2 of node 2 stands alone among 0s; half of the labels believed leaves it out."""
    labels = np.array([0, 0, 2, 0, 0])
    whole, _ = side_information.apply(MATRIX, Side(labels=labels, modes=["veto"], trust=1.0), FEATURES)
    half, report = side_information.apply(MATRIX, Side(labels=labels, modes=["veto"], trust=.8), FEATURES)
    assert not whole[2].nnz and half[2].nnz == MATRIX[2].nnz
    assert report["labels"]["known"] == 5 and report["labels"]["believed"] == 4


def test_trust_is_estimated_unless_given():
    _, report = side_information.apply(MATRIX, Side(labels=LABELS), FEATURES)
    trust, pairs = side_labels.estimate_trust(MATRIX, LABELS)
    assert report["labels"]["trust"] == report["labels"]["estimated_trust"] == trust
    assert report["labels"]["pairs_for_estimate"] == pairs


@pytest.mark.parametrize("side, message", [
    (Side(labels=LABELS[:4]), "side.labels is about 4 images and the gallery has 5"),
    (Side(text=TEXT[:3]), "side.text is about 3 images and the gallery has 5"),
    (Side(modes=["veto", "ad"]), "unknown side.modes value 'ad' .did you mean add.*known: add, reweight, veto"),
    (Side(pair_mode="plus"), "unknown side.pair_mode 'plus'"), (Side(denoise="ranks"), "unknown side.denoise 'ranks'")])
def test_what_cannot_be_used(side, message):
    with pytest.raises(InputError, match=message):
        side_information.apply(MATRIX, side, FEATURES)


def test_methods_that_would_leave_it_out_are_refused():
    side_information.check_method("cfa")
    with pytest.raises(InputError, match="method gfr takes no side information .* choose cfa"):
        side_information.check_method("gfr")


def test_the_configurations_defaults_are_the_functions():
    section, side = method_schema.SideConfig(), Side()
    for name in ("modes", "add_neighbors", "agree", "disagree", "text_weight", "pair_mode", "pair_scale", "denoise"):
        assert getattr(section, name) == getattr(side, name)
    assert set(side_information.settings(side)) < {field.name for field in dataclasses.fields(section)}
