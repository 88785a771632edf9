"""What every sampler promises, and what each one promises for itself."""
import logging

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.class_index import ClassIndex
from slim_retrieval.datasets.rounds import Rounds
from slim_retrieval.datasets.sampler import PKSampler
from slim_retrieval.datasets.sampler_category import CategoryPKSampler, _capped
from slim_retrieval.datasets.sampler_hard import HardSampler
from slim_retrieval.datasets.samplers import SAMPLERS, batch_size, build_sampler, group_size

SIZES = [5, 3, 9, 4, 7, 1, 2, 6]
# Rows in no order; three without a label.
LABELS = np.random.RandomState(0).permutation(np.concatenate([np.repeat(np.arange(8), SIZES), [-1] * 3])).astype(int)
CATEGORY_OF_CLASS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
CATEGORIES = np.where(LABELS < 0, 0, CATEGORY_OF_CLASS[LABELS])


def options(sampler, **changes):
    """Return a dict of TrainingConfig, as far as samplers read it."""
    return dict({"sampler": sampler, "classes_per_batch": 4, "images_per_class": 2, "batch_size": 0,
                 "categories_per_batch": 1, "negative_share": 0.5, "unlabelled_per_batch": 0,
                 "mining": {"negatives": 1}}, **changes)


def build(sampler, labels=LABELS, seed=0, categories=CATEGORIES, **changes):
    return build_sampler(labels, options(sampler, **changes), seed, categories)


def neighbors(seed=1):
    """Return for each row 5 random rows of other classes; some are missing."""
    random, found = np.random.RandomState(seed), np.full((len(LABELS), 5), -1, np.int32)
    for row, label in enumerate(LABELS):
        wrong = np.flatnonzero((label != LABELS) & (LABELS >= 0))
        found[row, :random.randint(6)] = 0
        found[row, found[row] == 0] = random.choice(wrong, (found[row] == 0).sum(), replace=False)
    return found


@pytest.mark.parametrize("unlabelled", [0, 4])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_batch_depends_on_seed_and_step_alone(name, unlabelled):
    changes = {"unlabelled_per_batch": unlabelled if name != "uniform" else 0}
    def fresh(seed=0):
        sampler = build(name, seed=seed, **changes)
        if name == "hard":
            sampler.use(neighbors())
        return sampler
    sampler, reverse = fresh(), fresh()
    batches = [sampler.batch(step) for step in range(30)]
    for step in reversed(range(30)):
        rows = reverse.batch(step)
        assert rows.dtype == np.int32 and rows.shape == (batch_size(options(name, **changes)),)
        np.testing.assert_array_equal(rows, batches[step])
    assert any((a != fresh(1).batch(step)).any() for step, a in enumerate(batches))
    without = sum((LABELS[rows] < 0).sum() for rows in batches)
    assert without == (30 * changes["unlabelled_per_batch"] if name != "uniform" else without)
    assert len({tuple(rows) for rows in batches}) == 30


def test_images_without_a_label_are_not_one_class():
    # Before, -1 was a class like any other, and its images came together as if they were alike.
    sampler = PKSampler(np.array([-1, 0, -1, 1, -1, 0, 1, -1]), 2, 2, seed=0)
    for step in range(20):
        assert sorted(sampler.batch(step)) == [1, 3, 5, 6]
    with pytest.raises(InputError, match="classes_per_batch is 3 but there are 2 classes"):
        PKSampler(np.array([-1, 0, -1, 1]), 3, 2, seed=0)
    with pytest.raises(InputError, match="no image has a label"):
        PKSampler(np.array([-1, -1]), 1, 2, seed=0)
    assert sampler.class_rows(2).tolist() == [0, 2, 4, 7] and sampler.class_rows(5).tolist() == [1, 5]


def test_what_happens_to_images_without_a_label_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        build("balanced", unlabelled_per_batch=2)
        build("uniform")
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        build("balanced")
    assert "3 of 40 images have no label" in caplog.text and "training.unlabelled_per_batch" in caplog.text


def test_unlabelled_images_come_in_turn_and_leave_groups_whole():
    sampler, plain = build("pk", unlabelled_per_batch=4), build("pk")
    seen = []
    for step in range(12):
        groups = sampler.batch(step).reshape(6, 2)
        without = (LABELS[groups] < 0).all(axis=1)
        assert without.tolist() == [True, False, False, True, False, False]  # evenly: two towers have one group each
        np.testing.assert_array_equal(groups[~without].reshape(-1), plain.batch(step))
        seen.extend(groups[without].reshape(-1))
    counts = np.bincount(seen, minlength=40)[LABELS < 0]
    assert counts.tolist() == [16, 16, 16]  # 48 places, 3 images


def test_class_index():
    index = ClassIndex(np.array([7, -1, 100, 7, -5, 2]))
    assert len(index) == 3 and index.sizes.tolist() == [1, 2, 1]
    assert [index.rows(n).tolist() for n in range(3)] == [[5], [0, 3], [2]]
    assert index.class_of.tolist() == [1, -1, 2, 1, -1, 0] and index.unlabelled.tolist() == [1, 4]


def test_epochs_show_all_but_the_remainder_once():
    rounds = Rounds(0, 1)
    left_out = set()
    for epoch in range(20):
        rows = np.concatenate([rounds.epochs(3 * epoch + i, 10, 3) for i in range(3)])
        assert len(set(rows)) == 9 and set(rows) <= set(range(10))
        left_out |= set(range(10)) - set(rows)
    assert len(left_out) > 5
    assert sorted(rounds.epochs(0, 2, 4)) == [0, 0, 1, 1]  # fewer items than a group: evenly repeated


# ---- pairs


@pytest.mark.parametrize("share", [0.0, 0.25, 0.3, 1.0])
def test_pairs_of_one_class_or_of_two_in_the_share_asked_for(share):
    sampler = build("pairs", batch_size=6, negative_share=share)
    pairs = np.concatenate([sampler.batch(step).reshape(3, 2) for step in range(40)])  # 120 pairs
    same = LABELS[pairs[:, 0]] == LABELS[pairs[:, 1]]
    assert (pairs[:, 0] != pairs[:, 1]).all()
    for count in range(1, 121):  # never off by more than one, at any moment
        assert (~same[:count]).sum() == int(round(1000 * share)) * count // 1000
    positive = np.bincount(LABELS[pairs[same]].reshape(-1), minlength=8) // 2
    assert positive[5] == 0  # the class of one image is in no positive pair
    assert np.ptp(np.delete(positive, 5)) <= 1
    assert np.ptp(np.bincount(LABELS[pairs[~same]].reshape(-1), minlength=8)) <= 1


def test_all_images_of_a_class_are_in_as_many_positive_pairs():
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    sampler = build("pairs", labels, batch_size=4, negative_share=0.0)
    rows = np.concatenate([sampler.batch(step) for step in range(12)])  # 12 pairs of each class: 24 images of each
    assert np.bincount(rows).tolist() == [8, 8, 8, 6, 6, 6, 6]


@pytest.mark.parametrize("labels, changes, message", [
    ([0, 1, 2], {}, "no class has two images"),
    ([0, 0, 0], {}, "one class, so there is no negative pair"),
    ([0, 0, 1], {"batch_size": 5}, "a batch of 5 images does not consist of pairs"),
    ([-1, -1], {}, "no image has a label")])
def test_pairs_that_cannot_be(labels, changes, message):
    with pytest.raises(InputError, match=message):
        build("pairs", np.array(labels), **changes)


def test_degenerate_pairs_that_can_be():
    assert sorted(build("pairs", np.array([0, 1]), batch_size=2, negative_share=1.0).batch(3)) == [0, 1]
    assert sorted(build("pairs", np.array([0, 0]), batch_size=2, negative_share=0.0).batch(3)) == [0, 1]


# ---- balanced, uniform


@pytest.mark.parametrize("size", [3, 10])  # fewer and more than the classes
def test_balanced_draws_each_class_and_each_of_its_images_as_often(size):
    sizes = [1, 2, 3, 4, 6]
    labels = np.repeat(np.arange(5), sizes)
    sampler = build("balanced", labels, batch_size=size)
    batches = [sampler.batch(step) for step in range(60 * 5 // size)]
    counts = np.bincount(np.concatenate(batches))
    assert counts.tolist() == [60 // images for images in sizes for _ in range(images)]
    for rows in batches:
        assert np.ptp(np.bincount(labels[rows], minlength=5)) <= 1


def test_uniform_shows_every_image_labelled_or_not():
    sampler = build("uniform", batch_size=8)
    rows = np.concatenate([sampler.batch(step) for step in range(5)])
    assert sorted(rows) == list(range(40))
    with pytest.raises(InputError, match="uniform draws from all images"):
        build("uniform", unlabelled_per_batch=2)


# ---- categories


def test_the_classes_of_a_batch_come_from_one_category_and_all_classes_are_as_often():
    sampler = build("pk_category", classes_per_batch=2, images_per_class=3)
    counts = np.zeros(8, int)
    for step in range(8 * 10):
        groups = LABELS[sampler.batch(step)].reshape(2, 3)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0])) == 2
        assert len(set(CATEGORY_OF_CLASS[groups[:, 0]])) == 1
        counts[groups[:, 0]] += 1
    assert counts.tolist() == [20] * 8


def test_turns_go_to_categories_by_their_number_of_classes_and_to_different_ones():
    labels = np.arange(60)
    categories = np.repeat([0, 1, 2, 3, 4], [24, 15, 12, 6, 3])  # 24 of 60 is below one half
    sampler = CategoryPKSampler(labels, categories, 6, 1, 0, categories_per_batch=2)
    counts, company = np.zeros(60, int), set()
    for step in range(60 * 3):
        rows = sampler.batch(step)
        found = categories[rows].reshape(2, 3)
        assert (found == found[:, :1]).all() and found[0, 0] != found[1, 0] and len(set(rows)) == 6
        company.add(tuple(sorted(found[:, 0])))
        counts[rows] += 1
    assert counts.tolist() == [18] * 60 and len(company) >= 4


def test_a_category_that_is_too_large_for_its_share_comes_in_every_batch():
    weights = _capped([100, 2, 3], 2)
    assert weights.tolist() == [5, 2, 3]  # in half of all turns, that is in each batch of two
    assert _capped([10, 1], 2).tolist() == [1, 1] and _capped([4, 4, 4], 2).tolist() == [4, 4, 4]
    sampler = CategoryPKSampler(np.arange(20), np.repeat([0, 1, 2], [16, 2, 2]), 4, 1, 0, categories_per_batch=2)
    for step in range(20):
        rows = sampler.batch(step)
        assert (rows < 16).sum() == 2 and len(set(rows)) == 4


def test_small_categories_are_filled_up_from_others(caplog):
    with caplog.at_level(logging.WARNING):
        sampler = CategoryPKSampler(np.arange(9), np.repeat([0, 1], [8, 1]), 4, 1, 0)
    assert "1 of 2 categories have fewer than 4 classes (1 have one)" in caplog.text
    found = [sampler.batch(step) for step in range(36)]
    assert all(len(set(rows)) == 4 for rows in found)
    with_last = [rows for rows in found if 8 in rows]
    assert all((rows < 8).sum() == 3 for rows in with_last)
    assert len(with_last) == 12  # 4 of its own turns in 12, as often as the classes of the other category


def test_classes_without_and_with_several_categories_are_said(caplog):
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    with caplog.at_level(logging.WARNING):
        sampler = CategoryPKSampler(labels, np.array([5, 5, 3, 5, -1, -1, -1]), 2, 1, 0)
    assert "1 of 3 classes have images in several categories" in caplog.text
    assert "1 of 3 classes have no category" in caplog.text
    assert {int(label) for step in range(9) for label in labels[sampler.batch(step)]} == {0, 1}


@pytest.mark.parametrize("changes, message", [
    ({"categories_per_batch": 3, "classes_per_batch": 4}, "4 does not divide by training.categories_per_batch 3"),
    ({"categories_per_batch": 4, "classes_per_batch": 4}, "is 4 but 2 categories have classes"),
    ({"classes_per_batch": 9}, "classes_per_batch is 9 but there are 8 classes")])
def test_categories_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        build("pk_category", **changes)
    with pytest.raises(InputError, match="give training.category"):
        build("pk_category", categories=None)


# ---- hard negatives


def by_hand(near, anchors, count, taken):
    """Return the hard rows that a slow loop finds: rank by rank, anchor by anchor, classes not yet taken."""
    found = []
    for rank in range(near.shape[1]):
        for anchor in anchors:
            row = near[anchor, rank]
            if row >= 0 and LABELS[row] not in taken and len(found) < count:
                found.append(row)
                taken.add(LABELS[row])
    return found


@pytest.mark.parametrize("negatives, p", [(1, 4), (2, 6), (3, 8)])
def test_hard_batches_hold_the_nearest_wrong_classes(negatives, p):
    sampler, near = HardSampler(LABELS, p, 3, negatives, seed=0), neighbors()
    sampler.use(near)
    filled = 0
    for step in range(60):
        groups = sampler.batch(step).reshape(p, 3)
        assert (LABELS[groups] == LABELS[groups[:, :1]]).all() and len(set(LABELS[groups[:, 0]])) == p
        parts = groups.reshape(-1, 1 + negatives, 3)
        taken = set(LABELS[parts[:, 0, 0]])
        for part in parts:
            expected = by_hand(near, part[0], negatives, taken)
            assert part[1:1 + len(expected), 0].tolist() == expected
            taken |= set(LABELS[part[1:, 0]])
            filled += negatives - len(expected)
        for group in groups:
            assert len(set(group)) == min(3, SIZES[LABELS[group[0]]])
    assert filled  # neighbours ran out at times, and random classes took the place


def test_hard_images_of_the_anchors_category_alone():
    near = np.stack([np.random.RandomState(row).permutation(np.flatnonzero((label != LABELS) & (LABELS >= 0)))[:20]
                     for row, label in enumerate(LABELS)]).astype(np.int32)
    sampler = HardSampler(LABELS, 2, 2, 1, seed=0, category_ids=CATEGORIES)
    sampler.use(near)
    for step in range(30):
        anchor, hard = CATEGORIES[sampler.batch(step)].reshape(2, 2)[:, 0]
        assert anchor == hard


def test_new_neighbours_count_from_the_next_batch_on():
    sampler = HardSampler(LABELS, 4, 2, 1, seed=0)
    before = sampler.batch(3)  # without any: random classes
    sampler.use(neighbors(1))
    one = sampler.batch(3)
    sampler.use(neighbors(2))
    assert (one != sampler.batch(3)).any() and (before != one).any()
    sampler.use(neighbors(1))
    np.testing.assert_array_equal(sampler.batch(3), one)
    np.testing.assert_array_equal(one.reshape(2, 2, 2)[:, 0], before.reshape(2, 2, 2)[:, 0])  # the same anchors


def test_hard_sampler_refuses_what_does_not_divide():
    with pytest.raises(InputError, match="classes_per_batch 4 does not divide by 3, an anchor's class"):
        build("hard", mining={"negatives": 2})


# ---- the registry


def test_sizes_and_names():
    assert batch_size(options("pk")) == 8 and batch_size(options("pairs", batch_size=6)) == 6
    assert batch_size(options("balanced", unlabelled_per_batch=3)) == 11
    assert [group_size(options(name)) for name in ("pk", "hard", "pairs", "uniform")] == [2, 4, 2, 1]
    with pytest.raises(InputError, match="batch_size is 9 but sampler pk makes batches of 4 classes x 2 images = 8"):
        build("pk", batch_size=9)
    with pytest.raises(InputError, match="unknown training.sampler 'pkk'.*balanced, hard, pairs, pk, pk_category, "):
        build("pkk")
    with pytest.raises(InputError, match="3 is not a multiple of 2"):
        build("pk", unlabelled_per_batch=3)
    with pytest.raises(InputError, match="every image has a label"):
        build("pk", np.arange(8), unlabelled_per_batch=2)
