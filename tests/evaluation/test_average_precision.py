import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.evaluation.average_precision import (
    AVERAGE_PRECISION,
    DESCRIPTIONS,
    at_depth,
    at_r,
    by_step,
    by_trapezoid,
    step,
    trapezoid,
)
from slim_retrieval.evaluation.places import find


def row(text):
    """'+' is a positive, 'j' junk, '.' wrong: (hits, junk) of one query."""
    return np.array([[c == "+" for c in text]]), np.array([[c == "j" for c in text]])


def oxford_loop(ranked, positives, junk):
    """compute_ap of Oxford5k's program, line by line: its running recall and precision, one result at a time."""
    old_recall, old_precision, ap = 0.0, 1.0, 0.0
    intersect_size, j = 0, 0
    for name in ranked:
        if name in junk:
            continue
        if name in positives:
            intersect_size += 1
        recall = intersect_size / float(len(positives))
        precision = intersect_size / (j + 1.0)
        ap += (recall - old_recall) * ((old_precision + precision) / 2.0)
        old_recall, old_precision = recall, precision
        j += 1
    return ap


@pytest.mark.parametrize("text, positives, by_step, by_trapezoid", [
    ("+", 1, 1, 1),
    ("++..", 2, 1, 1),
    # Places 1 and 3: (1/1 + 2/3) / 2; ((1 + 1)/2 + (1/2 + 2/3)/2) / 2.
    ("+.+.", 2, 5 / 6, (1 + 7 / 12) / 2),
    # Only place 2: 1/2; (0/1 + 1/2) / 2.
    (".+", 1, 1 / 2, 1 / 4),
    # Junk before the positive is removed: as if "+." had been returned.
    ("jj+.", 1, 1, 1),
    ("j.j+", 1, 1 / 2, 1 / 4),
    # Junk behind all positives changes nothing.
    ("+j", 1, 1, 1),
    # One of four positives returned, at the first place.
    ("+...", 4, 1 / 4, 1 / 4),
    # Positives exist and none was returned.
    ("....", 3, 0, 0),
    ("jjj", 3, 0, 0),
])
def test_worked_by_hand(text, positives, by_step, by_trapezoid):
    hits, junk = row(text)
    np.testing.assert_allclose(step(hits, [positives], junk), [by_step], rtol=1e-12)
    np.testing.assert_allclose(trapezoid(hits, [positives], junk), [by_trapezoid], rtol=1e-12)


def test_query_without_positives_is_nan_and_leaves_its_neighbours_alone():
    hits = np.array([[True, False], [False, False], [False, True]])
    for function, last in ((step, 1 / 2), (trapezoid, 1 / 4)):
        result = function(hits, np.array([1, 0, 1]))
        assert result[0] == 1 and np.isnan(result[1]) and result[2] == last


def test_step_agrees_with_sklearn():
    rng = np.random.RandomState(0)
    for _ in range(300):
        n = rng.randint(1, 40)
        hits = rng.rand(1, n) < rng.rand()
        if hits.any():
            score = average_precision_score(hits[0], -np.arange(n))
            np.testing.assert_allclose(step(hits, [hits.sum()]), [score], rtol=1e-12)


def test_junk_equals_sklearn_on_the_ranking_without_it():
    rng = np.random.RandomState(1)
    for _ in range(300):
        kind = rng.randint(3, size=rng.randint(1, 30))
        hits, junk = (kind == 1)[np.newaxis], (kind == 2)[np.newaxis]
        if hits.any():
            kept = kind[kind != 2]
            score = average_precision_score(kept == 1, -np.arange(len(kept)))
            np.testing.assert_allclose(step(hits, [hits.sum()], junk), [score], rtol=1e-12)


def test_trapezoid_agrees_with_the_oxford_loop():
    rng = np.random.RandomState(2)
    for _ in range(300):
        n = rng.randint(1, 30)
        kind = rng.randint(3, size=n)
        if not (kind == 1).any():
            continue
        depth = rng.randint(1, n + 1)  # positives behind it were never returned
        ranked = rng.permutation(n)[:depth]
        expected = oxford_loop(ranked, set(np.flatnonzero(kind == 1)), set(np.flatnonzero(kind == 2)))
        result = trapezoid((kind[ranked] == 1)[np.newaxis], [(kind == 1).sum()], (kind[ranked] == 2)[np.newaxis])
        np.testing.assert_allclose(result, [expected], rtol=1e-12)


def test_arguments_are_not_changed():
    hits, junk = row("j+.+j")
    before = hits.copy(), junk.copy()
    for function in (step, trapezoid):
        function(hits, np.array([2]), junk)
    np.testing.assert_array_equal(hits, before[0])
    np.testing.assert_array_equal(junk, before[1])


@pytest.mark.parametrize("text, positives, k, at_k, of_r", [
    ("++..", 2, 1, 1, 1),  # one place, one positive asked for
    ("+.+.", 2, 2, 1 / 2, 1 / 2),  # the second stands behind both k and R
    ("+.+.", 2, 3, 5 / 6, 1 / 2),
    ("j+j.+", 2, 3, 5 / 6, 1 / 2),  # the same with junk
    (".+", 1, 1, 0, 0),
    (".+", 1, 2, 1 / 2, 0),
    ("+++", 5, 3, 1, 3 / 5),  # two positives were never returned: asked for at R, not at 3
    ("+++", 5, 4, 3 / 4, 3 / 5),
    ("...", 2, 5, 0, 0),
    ("...", 0, 5, np.nan, np.nan),
])
def test_truncated_forms_worked_by_hand(text, positives, k, at_k, of_r):
    hits, junk = row(text)
    places = find(hits, [positives], junk)
    np.testing.assert_allclose(at_depth(places, k), [at_k], rtol=1e-12)
    np.testing.assert_allclose(at_r(places), [of_r], rtol=1e-12)


def test_truncated_forms_are_the_step_sum_of_a_cut_ranking():
    rng = np.random.RandomState(3)
    for _ in range(200):
        kind, k = rng.randint(3, size=(1, rng.randint(1, 30))), rng.randint(1, 35)
        total = int((kind == 1).sum()) + rng.randint(4)
        if total:
            kept = (kind[kind != 2] == 1)[np.newaxis]
            places = find(kind == 1, [total], kind == 2)
            np.testing.assert_allclose(at_depth(places, k), step(kept[:, :k], [min(total, k)]), rtol=1e-12)
            np.testing.assert_allclose(at_r(places), step(kept[:, :total], [total]), rtol=1e-12)


def test_every_definition_has_words():
    assert (AVERAGE_PRECISION["step"], AVERAGE_PRECISION["trapezoid"]) == (by_step, by_trapezoid)
    assert set(AVERAGE_PRECISION) == set(DESCRIPTIONS) == {"step", "trapezoid"}
