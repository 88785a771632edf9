import logging
from math import gcd

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets import sampler as sampler_module
from slim_retrieval.datasets.rounds import grouped_passes
from slim_retrieval.datasets.sampler import PKSampler


def _labels(sizes, seed=0):
    """Return shuffled ids with sizes[c] rows of class c."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.RandomState(seed).permutation(labels).astype(np.int32)


def test_a_batch_depends_on_seed_and_step_alone():
    labels = _labels([5, 3, 9, 4, 7])
    used = PKSampler(labels, 3, 2, seed=1)
    used.batch(3)
    used.batch(40)
    fresh = PKSampler(labels, 3, 2, seed=1)
    assert (used.batch(7) == fresh.batch(7)).all()
    batches = [fresh.batch(t).tolist() for t in range(20)]
    again = PKSampler(labels, 3, 2, seed=1)
    assert [again.batch(t).tolist() for t in reversed(range(20))] == batches[::-1]
    other = PKSampler(labels, 3, 2, seed=2)
    assert [other.batch(t).tolist() for t in range(20)] != batches


@pytest.mark.parametrize("sizes, p, k", [
    ([5, 3, 9, 4, 7], 3, 2), ([4] * 10, 8, 4), ([6, 7, 8, 9], 4, 3), ([5] * 7, 2, 5), ([9, 8, 7], 1, 2),
    ([4, 4, 4, 4, 4], 4, 3)])
def test_batches_are_whole_groups_of_distinct_classes_and_images(sizes, p, k):
    labels = _labels(sizes)
    sampler = PKSampler(labels, p, k, seed=0)
    for step in range(60):
        rows = sampler.batch(step)
        assert rows.dtype == np.int32
        assert rows.shape == (p * k,)
        groups = labels[rows].reshape(p, k)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == p
        if k <= min(sizes):
            assert len(set(rows)) == p * k


def test_every_class_and_every_image_is_as_often_as_any_other():
    sizes, p, k = [2, 3, 4, 5, 6, 1], 4, 3
    labels = _labels(sizes)
    sampler = PKSampler(labels, p, k, seed=3)
    # After 60 visits of each class every class has had whole passes: 60 * 3 images is a multiple of 1, ..., 6.
    steps = 60 * len(sizes) // p
    rows = np.concatenate([sampler.batch(step) for step in range(steps)])
    counts = np.bincount(rows, minlength=len(labels))
    for number, size in enumerate(sizes):
        assert counts[labels == number].tolist() == [60 * k // size] * size


def test_one_pass_shows_every_class_and_every_image_once():
    labels = _labels([6] * 8)
    sampler = PKSampler(labels, 4, 3, seed=0)
    for first in range(0, 40, 4):  # 2 steps: all classes; 4 steps: all images of all classes
        for half in (0, 2):
            classes = labels[np.concatenate([sampler.batch(first + half), sampler.batch(first + half + 1)])[::3]]
            assert sorted(classes) == list(range(8))
        rows = np.concatenate([sampler.batch(first + i) for i in range(4)])
        assert sorted(rows) == list(range(48))


def test_classes_meet_in_changing_company():
    labels = _labels([4] * 12)
    sampler = PKSampler(labels, 5, 2, seed=0)
    together = np.zeros((12, 12), int)
    for step in range(600):
        classes = labels[sampler.batch(step)[::2]]
        together[np.ix_(classes, classes)] += 1
    pairs = together[~np.eye(12, dtype=bool)]
    # 600 batches x 20 ordered pairs over 132 ordered pairs of classes.
    assert abs(pairs.mean() - 600 * 20 / 132) < 1e-9
    assert pairs.min() > 0.6 * pairs.mean()


def test_small_classes_and_singletons_repeat_images_and_are_logged_once(caplog):
    labels = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    with caplog.at_level(logging.WARNING):
        sampler = PKSampler(labels, 3, 4, seed=0)
        batch = sampler.batch(0)
    assert sorted(np.bincount(batch, minlength=8)[:3]) == [2, 2, 4]
    assert np.bincount(batch, minlength=8)[3:].max() == 1
    assert [r.getMessage() for r in caplog.records] == [
        "2 of 3 classes have fewer than training.images_per_class = 4 images (1 have one): their images repeat within "
        "a batch"]


def test_too_few_classes_are_refused_with_both_values():
    with pytest.raises(InputError, match="classes_per_batch is 5 but there are 3 classes; lower it"):
        PKSampler(np.array([0, 1, 2, 2]), 5, 2, seed=0)


def test_ids_may_have_gaps():
    labels = np.array([40, 7, 7, 40, 900, 900])
    sampler = PKSampler(labels, 3, 2, seed=0)
    assert sorted(sampler.batch(5)) == [0, 1, 2, 3, 4, 5]
    assert sampler.class_rows(3).tolist() == [0, 3]
    assert sampler.class_rows(4).tolist() == [4, 5]


def test_a_late_step_draws_no_more_than_an_early_one(monkeypatch):
    # Counts the items of all permutations drawn: replaying would take as many as the step is late.
    drawn = []
    real = np.random.RandomState

    class Counting:
        def __init__(self, seed):
            self._random = real(seed)

        def permutation(self, count):
            drawn.append(count)
            return self._random.permutation(count)

    labels = _labels([5, 6, 7] * 5)
    monkeypatch.setattr(sampler_module.np.random, "RandomState", Counting)
    for step in [0, 10**6, 10**9]:
        del drawn[:]
        rows = PKSampler(labels, 4, 2, seed=0).batch(step)
        # At most P passes over the classes and, for each of P classes, K passes over its images.
        assert sum(drawn) <= 4 * 15 + 4 * 2 * 7
        assert len(set(labels[rows])) == 4


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("group", range(1, 9))
def test_grouped_passes(count, group):
    order = grouped_passes(count, group, np.random.RandomState(count * group))
    assert len(order) == count * group // gcd(count, group)
    assert (np.sort(order.reshape(-1, count), axis=1) == np.arange(count)).all()
    for items in order.reshape(-1, group):
        shown = np.bincount(items, minlength=count)
        assert (shown.min(), shown.max()) == (group // count, -(-group // count))


def test_orders_differ_between_passes_and_are_uniform():
    # Each of the 6 orders of 3 items comes up about equally often over many seeds.
    orders = [tuple(grouped_passes(3, 3, np.random.RandomState(seed))) for seed in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert min(counts) > 140
