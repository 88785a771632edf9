import collections

import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import miners, reducers, triplet
from slim_retrieval.losses.pairs import all_pairs

FIELDS = ("positive", "negative", "valid", "candidate")


def mine(miner, rows, labels, step=0, kind="euclidean", **options):
    """Return {field: array broadcast to `valid`}, or the masks of a pair miner."""
    with tf.Graph().as_default(), tf.Session() as session:
        global_step = tf.train.get_or_create_global_step()
        found = miner(all_pairs(tf.constant(np.asarray(rows, np.float64)), tf.constant(labels), kind), **options)
        session.run(global_step.initializer)
        global_step.load(step, session)
        values = session.run(list(found))
    if len(values) == 2:
        return values
    return {name: np.broadcast_to(value, values[2].shape) for name, value in zip(FIELDS, values)}


def matrix(rows):
    return np.sqrt(np.square(np.asarray(rows)[:, None] - np.asarray(rows)[None]).sum(2))


def triples(rows, labels, choose):
    """Return {(a, p): choose(a, p, negatives)} of all positive pairs whose anchor has negatives."""
    found = {}
    for a in range(len(rows)):
        negatives = [n for n in range(len(rows)) if labels[n] != labels[a]]
        for p in range(len(rows)):
            if p != a and labels[p] == labels[a] and negatives:
                found[a, p] = choose(a, p, negatives)
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_hard_and_semi_hard_by_loops(random_batch, seed):
    rows, labels = random_batch(seed)
    far = matrix(rows)

    def semi(a, p, negatives):
        farther = [n for n in negatives if far[a, n] > far[a, p]]
        return min(farther, key=lambda n: far[a, n]) if farther else max(negatives, key=lambda n: far[a, n])

    def hard(a, p, negatives):
        return min(negatives, key=lambda n: far[a, n])
    for miner, choose in ((miners.semi_hard, semi), (miners.hard_negative, hard)):
        found, expected = mine(miner, rows, labels), triples(rows, labels, choose)
        assert set(zip(*np.nonzero(found["valid"]))) == set(expected)
        for (a, p), n in expected.items():
            assert found["candidate"][a, p] == n
            assert found["positive"][a, p] == pytest.approx(far[a, p])
            assert found["negative"][a, p] == pytest.approx(far[a, n])


@pytest.mark.parametrize("seed", [0, 1])
def test_batch_hard_by_loops(random_batch, seed):
    rows, labels = random_batch(seed)
    far, found = matrix(rows), mine(miners.batch_hard, rows, labels)
    positives, negatives = mine(miners.hardest_pairs, rows, labels)
    for a in range(len(rows)):
        same = [i for i in range(len(rows)) if i != a and labels[i] == labels[a]]
        other = [i for i in range(len(rows)) if labels[i] != labels[a]]
        assert found["valid"][a] == bool(same and other)
        hardest, closest = sorted(same, key=far[a].item)[-1:], sorted(other, key=far[a].item)[:1]
        assert list(np.nonzero(positives[a])[0]) == hardest and list(np.nonzero(negatives[a])[0]) == closest
        if same and other:
            assert found["candidate"][a] == closest[0]
            assert found["positive"][a] == pytest.approx(far[a, hardest[0]])
            assert found["negative"][a] == pytest.approx(far[a, closest[0]])


def test_every_triplet(random_batch):
    rows, labels = random_batch(2, size=6, classes=2)
    far, found = matrix(rows), mine(miners.every_triplet, rows, labels)
    for a, p, n in np.ndindex(6, 6, 6):
        assert found["valid"][a, p, n] == (a != p and labels[a] == labels[p] and labels[n] != labels[a])
        assert found["candidate"][a, p, n] == n
        assert found["positive"][a, p, n] == pytest.approx(far[a, p]) and found["negative"][a, p, n] == pytest.approx(
            far[a, n])


def test_multi_similarity_pairs_by_loops(random_batch):
    rows, labels = random_batch(3)
    products = rows @ rows.T
    positives, negatives = mine(miners.multi_similarity_pairs, rows, labels, kind="cosine", epsilon=0.2)
    for a in range(len(rows)):
        same = [products[a, i] for i in range(len(rows)) if i != a and labels[i] == labels[a]]
        other = [products[a, i] for i in range(len(rows)) if labels[i] != labels[a]]
        for i in range(len(rows)):
            both = bool(same and other) and i != a
            assert positives[a, i] == (both and labels[i] == labels[a] and products[a, i] < max(other) + 0.2)
            assert negatives[a, i] == (both and labels[i] != labels[a] and products[a, i] > min(same) - 0.2)


def drawn(miner, rows, labels, steps, **options):
    """Return how often each negative was drawn for the pair (0, 1)."""
    counts = collections.Counter()
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        found = miner(all_pairs(tf.constant(rows), tf.constant(labels), "euclidean"), **options)
        session.run(step.initializer)
        for number in range(steps):
            step.load(number, session)
            counts[int(session.run(found.candidate)[0, 1])] += 1
    return counts


def on_the_sphere(distances, width):
    """Return unit vectors at the given Euclidean distances from the first axis."""
    cosines = 1 - np.square(distances) / 2
    rows = np.zeros((len(distances), width))
    rows[:, 0], rows[:, 1] = cosines, np.sqrt(1 - np.square(cosines))
    return rows


def test_distance_weighted_draws_by_the_inverse_density():
    width, far = 4, np.array([0.0, 0.1, 0.2, 0.6, 1.0, 1.3, 1.6])
    rows, labels = on_the_sphere(far, width), np.array([0, 0, 1, 2, 3, 4, 5])
    counts = drawn(miners.distance_weighted, rows, labels, 3000)
    cut = np.maximum(far[2:6], 0.5)  # 0.2 has the weight of the cutoff, 1.6 lies beyond the other
    weights = 1 / (cut ** (width - 2) * (1 - cut ** 2 / 4) ** ((width - 3) / 2))
    assert set(counts) == {2, 3, 4, 5}
    np.testing.assert_allclose([counts[i] / 3000 for i in range(2, 6)], weights / weights.sum(), atol=0.03)


def test_distance_weighted_takes_what_there_is_where_all_is_far():
    rows = on_the_sphere(np.array([0.0, 0.1, 1.6, 1.9]), 4)
    assert set(drawn(miners.distance_weighted, rows, np.array([0, 0, 1, 2]), 60)) == {2, 3}


def test_random_negative_draws_all_alike(random_batch):
    rows, _ = random_batch(5, size=6)
    counts = drawn(miners.random_negative, rows, np.array([0, 0, 1, 1, 2, 3]), 2000)
    assert set(counts) == {2, 3, 4, 5}
    np.testing.assert_allclose([counts[i] / 2000 for i in range(2, 6)], 0.25, atol=0.04)


def test_one_step_is_one_draw_whichever_process_draws_it(random_batch):
    rows, labels = random_batch(6, size=40)
    first, again, later = (mine(miners.random_negative, rows, labels, step)["candidate"] for step in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != later).mean() > 0.5


@pytest.mark.parametrize("kind", ["squared", "cosine"])
def test_distance_weighted_knows_the_distance_it_is_given(random_batch, kind):
    rows, labels = random_batch(7, size=30)
    np.testing.assert_array_equal(mine(miners.distance_weighted, rows, labels, kind=kind)["candidate"],
                                  mine(miners.distance_weighted, rows, labels)["candidate"])


@pytest.mark.parametrize("name", sorted(miners.TRIPLET_MINERS))
@pytest.mark.parametrize("soft", [False, True])
def test_triplet_loss_with_each_miner_is_the_mean_over_what_it_mines(run_loss, random_batch, name, soft):
    rows, labels = random_batch(8)
    mined = mine(miners.TRIPLET_MINERS[name], rows, labels)
    differences = (mined["positive"] - mined["negative"])[mined["valid"]]
    expected = np.log(1 + np.exp(differences)) if soft else np.maximum(0, differences + 0.3)
    for reducer in (reducers.mean, reducers.mean_active):
        loss, scalars, _ = run_loss(triplet.triplet, rows, labels, dtype=np.float64, margin=0.3, soft=soft,
                                    triplet_miner=miners.TRIPLET_MINERS[name], reducer=reducer)
        kept = expected if reducer is reducers.mean else expected[expected > 0]
        assert loss == pytest.approx(kept.mean(), rel=1e-9)
        assert scalars["active_triplets"] == pytest.approx(np.mean(differences > (0 if soft else -0.3)))


def test_pairs_as_they_were_drawn(random_batch):
    rows, _ = random_batch(0)
    positives, negatives = mine(miners.sampled_pairs, rows[:8], np.array([3, 3, 1, 3, 3, 1, -1, 3]))
    assert sorted(zip(*np.nonzero(positives))) == [(0, 1), (1, 0)]
    assert sorted(zip(*np.nonzero(negatives))) == [(2, 3), (3, 2), (4, 5), (5, 4)]
