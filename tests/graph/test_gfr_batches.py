"""What a training step is fed: neighbourhoods against sets, positives and negatives by their defining properties."""
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
