import itertools

import numpy as np
import pytest

from slim_retrieval.evaluation import significance


def test_interval_of_a_normal_sample_is_that_of_the_textbook():
    values = np.random.RandomState(0).randn(400) * 3 + 1
    low, high = significance.interval(values)
    half = 1.96 * values.std() / 20  # standard error of the mean
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_of_two_values_by_hand():
    """Means of two draws are 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4: both ends lie beyond 2.5 %."""
    assert significance.interval([0.0, 1.0]) == [0, 1]
    assert significance.interval([0.3, 0.3, np.nan]) == pytest.approx([0.3, 0.3])


def test_seed_decides_and_blocks_do_not(monkeypatch):
    values = np.random.RandomState(1).rand(30)
    first = significance.interval(values, 5)
    assert first == significance.interval(values, 5) and first != significance.interval(values, 6)
    monkeypatch.setattr(significance, "VALUES_PER_BLOCK", 100)
    assert first == significance.interval(values, 5)


@pytest.mark.parametrize("differences", [[0.1, 0.2, -0.05, 0.3, 0.02, 0.15], [1, 1, 1, 1, -1], [0.5, -0.5, 0.2]])
def test_p_is_that_of_all_sign_flips(differences):
    differences = np.array(differences)
    flips = [abs(np.dot(signs, differences)) for signs in itertools.product([-1, 1], repeat=len(differences))]
    exact = np.mean(np.array(flips) >= abs(differences.sum()) - 1e-9)
    result = significance.paired(differences + 3, np.full(len(differences), 3.0))
    assert result["difference"] == pytest.approx(differences.mean())
    assert result["p"] == pytest.approx(exact, abs=0.02)
    assert result["interval"] == pytest.approx(significance.interval(differences))


def test_clear_and_no_difference():
    rng = np.random.RandomState(0)
    reference = rng.rand(200)
    better = significance.paired(reference + 0.1 + 0.01 * rng.randn(200), reference)
    assert better["p"] == pytest.approx(1 / 10001) and better["interval"][0] > 0.09
    same = significance.paired(reference, reference)
    assert same == {"difference": 0, "interval": [0, 0], "p": 1}


def test_p_is_uniform_when_nothing_differs():
    rng = np.random.RandomState(3)
    ps = np.array([significance.paired(rng.randn(20), rng.randn(20), seed)["p"] for seed in range(60)])
    assert abs(ps.mean() - 0.5) < 0.12 and 0 < (ps < 0.2).mean() < 0.4


def test_queries_without_a_score_are_left_out():
    result = significance.paired([1, np.nan, 0.5], [0.5, 0.2, np.nan])
    assert result["difference"] == 0.5
