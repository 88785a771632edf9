"""The logistic regression that scores GFR's edges."""
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from slim_retrieval.graph import gfr_scorer


def pairs(n=500, seed=0):
    rng = np.random.RandomState(seed)
    rows = rng.normal(size=(n, 4)) * [1, 10, 0.1, 1] + [0, 5, -2, 0]
    rows[:, 3] = 7  # says nothing
    return rows, rng.rand(n) < 1 / (1 + np.exp(-(2 * rows[:, 0] - 0.1 * rows[:, 1])))


def test_it_is_scikit_learns_on_standardised_features():
    rows, positive = pairs()
    found = gfr_scorer.probability(gfr_scorer.fit(rows, positive), rows)
    inputs = (rows[:, :3] - rows[:, :3].mean(axis=0)) / rows[:, :3].std(axis=0)
    model = LogisticRegression(C=1 / (gfr_scorer.RIDGE * len(rows)), tol=1e-10, max_iter=1000).fit(inputs, positive)
    np.testing.assert_allclose(found, model.predict_proba(inputs)[:, 1], atol=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_units_do_not_matter_and_shapes_are_kept(scale):
    rows, positive = pairs()
    expected = gfr_scorer.probability(gfr_scorer.fit(rows, positive), rows)
    found = gfr_scorer.probability(gfr_scorer.fit(rows * scale, positive), (rows * scale).reshape(50, 10, 4))
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-6)


def test_separable_pairs_give_finite_weights_and_clear_answers():
    rows = np.linspace(-1, 1, 200)[:, None]
    scorer = gfr_scorer.fit(rows, rows[:, 0] > 0)
    assert np.isfinite(scorer.weight).all() and np.isfinite(scorer.bias)
    probability = gfr_scorer.probability(scorer, rows)
    assert probability[0] < 0.05 and probability[-1] > 0.95 and (np.diff(probability) > 0).all()
