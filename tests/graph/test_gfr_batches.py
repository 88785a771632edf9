"""What a training step is fed: neighbourhoods against sets, positives and negatives by their defining properties."""
import types

import numpy as np
import pytest

from slim_retrieval.graph import gfr_batches


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_expand_names_the_nodes_that_a_set_walk_finds(layers):
    rng = np.random.RandomState(0)
    near = rng.randint(-1, 40, size=(40, 3))
    anchors = np.array([7, 30, 7])  # drawn twice: a positive may be another's anchor
    ids, tables = gfr_batches.expand(anchors, near, layers, concate=False)
    levels = [list(anchors)]
    for _ in range(layers):
        levels.append(sorted(set(levels[-1]) | {j for i in levels[-1] for j in near[i] if j >= 0}))
    np.testing.assert_array_equal(ids, levels[-1])
    for (own, member), nodes, needed in zip(tables, levels[-2::-1], levels[:0:-1]):
        assert [needed[i] for i in own] == list(nodes)
        for row, node in zip(member, nodes):
            assert [needed[j] if j >= 0 else -1 for j in row] == [node] + list(near[node])


def test_epochs_draw_each_anchor_once_with_fitting_positives_and_negatives():
    labels = np.array([2, 0, 1, 0, 2, 2, 0, 3, 2, 0])  # classes 1 and 3 have one member
    sampler = gfr_batches.Sampler(labels, seed=0)
    pairs = set()
    for epoch in range(60):
        (anchors, positives, negatives), valid = sampler.epoch(epoch, 3)
        np.testing.assert_array_equal(np.sort(anchors), np.arange(10))
        np.testing.assert_array_equal(labels[positives], labels[anchors])
        assert (labels[negatives] != labels[anchors]).all()
        np.testing.assert_array_equal(valid, ~np.isin(labels[anchors], [1, 3]))
        assert (positives != anchors)[valid > 0].all()
        pairs.update(zip(anchors, positives), zip(anchors, negatives))
    # Over many epochs every other image is drawn: as a positive if it shares the class, else as a negative.
    assert {(i, j) for i, j in pairs if i != j} == {(i, j) for i in range(10) for j in range(10) if i != j}


def test_epochs_are_seeded():
    labels = np.arange(40) % 4
    draw = lambda seed, epoch: gfr_batches.Sampler(labels, seed).epoch(epoch, 3)[0]  # noqa: E731
    np.testing.assert_array_equal(draw(0, 1), draw(0, 1))
    assert not np.array_equal(draw(0, 1), draw(0, 2))
    assert not np.array_equal(draw(0, 1), draw(1, 0))


def test_mutual_neighbours_are_positives_where_there_are_no_labels():
    near = np.array([[1, 2], [0, 3], [3, -1], [1, 2], [0, 1]])  # mutual: 0-1, 1-3, 2-3; node 4 has none
    mutual = {(0, 1), (1, 0), (1, 3), (3, 1), (2, 3), (3, 2)}
    sampler = gfr_batches.Pairs(near, seed=0)
    pairs = set()
    for epoch in range(40):
        (anchors, positives, negatives), valid = sampler.epoch(epoch, 3)
        np.testing.assert_array_equal(np.sort(anchors), np.arange(5))
        np.testing.assert_array_equal(valid, anchors != 4)
        assert (negatives != anchors).all()
        pairs.update((a, p) for a, p, use in zip(anchors, positives, valid) if use)
    assert pairs == mutual
    np.testing.assert_array_equal(sampler.epoch(3, 2)[0], gfr_batches.Pairs(near, seed=0).epoch(3, 3)[0][:2])


def options(sample=0, drop_edge=0.0):
    return types.SimpleNamespace(sample=sample, drop_edge=drop_edge)


def test_dropped_neighbours_are_as_many_as_asked_for_and_seeded():
    around = np.arange(4000).reshape(400, 10)
    around[:, 9] = -1
    thin = gfr_batches.thinner(options(drop_edge=0.3), np.random.RandomState(0))
    first, second = thin(around), thin(around)
    again = gfr_batches.thinner(options(drop_edge=0.3), np.random.RandomState(0))(around)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert ((first == around) | (first == -1)).all() and (first[:, 9] == -1).all()
    assert np.mean(first[:, :9] == -1) == pytest.approx(0.3, abs=0.03)  # 3600 draws: three deviations are .023
    assert gfr_batches.thinner(options(), None) is None


def test_sampled_neighbours_are_distinct_ones_of_the_node():
    around = np.array([[7, 8, 9, 10], [5, -1, -1, -1], [-1, 3, 4, -1]])
    thin = gfr_batches.thinner(options(sample=2), np.random.RandomState(0))
    seen = [set(), set(), set()]
    for _ in range(40):
        for row, chosen, all_seen in zip(around, thin(around), seen):
            chosen = [j for j in chosen if j >= 0]
            assert len(chosen) == len(set(chosen)) == min(2, np.sum(row >= 0)) and set(chosen) <= set(row)
            all_seen.update(chosen)
    assert seen == [{7, 8, 9, 10}, {5}, {3, 4}]


def test_a_sampled_step_needs_fewer_rows():
    near = np.random.RandomState(0).randint(0, 2000, size=(2000, 10))
    thin = gfr_batches.thinner(options(sample=2), np.random.RandomState(0))
    anchors = np.arange(8)
    all_rows = gfr_batches.expand(anchors, near, 2, False)[0]
    some, tables = gfr_batches.expand(anchors, near, 2, False, thin)
    assert len(all_rows) > 500 and len(some) <= 8 * 3 ** 2
    assert [member.shape[1] for _, member in tables] == [3, 3]
