import numpy as np
import pytest

from slim_retrieval.losses import triplet_semi_hard, watch

LOSS = triplet_semi_hard.triplet_semi_hard


def loop_loss(rows, labels, margin, kind, distance):
    """Return (loss, share of active pairs, share of pairs with a negative farther than the positive, in the margin)."""
    losses, semi_hard = [], []
    for a in range(len(rows)):
        negatives = [distance(rows[a], rows[n], kind) for n in range(len(rows)) if labels[n] != labels[a]]
        for p in range(len(rows)):
            if p == a or labels[p] != labels[a] or not negatives:
                continue
            positive = distance(rows[a], rows[p], kind)
            farther = [d for d in negatives if d > positive]
            losses.append(max(0, positive - (min(farther) if farther else max(negatives)) + margin))
            semi_hard.append(any(positive < d < positive + margin for d in negatives))
    return (np.mean(losses), np.mean(np.array(losses) > 0), np.mean(semi_hard)) if losses else (0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize("margin", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_loops(run_loss, random_batch, loop_distance, seed, margin, kind):
    rows, labels = random_batch(seed)
    loss, scalars, _ = run_loss(LOSS, rows, labels, margin=margin, distance=kind)
    expected = loop_loss(rows, labels, margin, kind, loop_distance)
    np.testing.assert_allclose([loss, scalars["active_pairs"], scalars["semi_hard_pairs"]], expected, rtol=1e-5)


@pytest.mark.parametrize("margin, expected", [(0.2, 0.30666664), (1.0, 0.97333336), (2.0, 1.9733334)])
def test_equals_tf_contrib(run_loss, margin, expected):
    # Values of tf.contrib.losses.metric_learning.triplet_semihard_loss, TensorFlow 1.15.5.
    rows = [[1, 0], [.8, .6], [.6, .8], [0, 1], [-.6, .8], [.96, -.28]]
    loss, _, _ = run_loss(LOSS, rows, [0, 0, 1, 1, 2, 2], margin=margin)
    assert loss == pytest.approx(expected, rel=1e-6)


def test_by_hand(run_loss):
    # On a line, Euclidean. Anchor 0, positive 2: negatives at 1 (closer) and 3 (farther): 2 - 3 + 1.5 = .5.
    # Anchor 2, positive 0 (distance 2): negatives 1 away both, none farther: the farthest, 2 - 1 + 1.5 = 2.5.
    # Class 1, anchors 1 and 3 (distance 2): anchor 1's negatives are 1 away: 2.5; anchor 3's are 3 and 1: .5.
    loss, scalars, _ = run_loss(LOSS, [[0], [2], [1], [3]], [0, 0, 1, 1], margin=1.5, distance="euclidean")
    assert loss == pytest.approx((0.5 + 2.5 + 2.5 + 0.5) / 4, rel=1e-5)
    assert scalars["semi_hard_pairs"] == pytest.approx(0.5) and scalars["active_pairs"] == 1


def test_pairs_without_negatives_are_left_out(run_loss, degenerate_batches):
    for what, (rows, labels) in degenerate_batches.items():
        for kind in ("euclidean", "squared", "cosine"):
            loss, scalars, gradient = run_loss(LOSS, rows, labels, distance=kind)
            assert loss == 0 and not any(scalars.values()), what
            np.testing.assert_array_equal(gradient, np.zeros_like(rows), err_msg=what)


@pytest.mark.parametrize("kind", ["euclidean", "squared", "cosine"])
def test_gradient_by_central_differences(run_loss, random_batch, loop_distance, central_differences, kind):
    rows, labels = random_batch(11, size=8, width=3, classes=3)
    _, _, gradient = run_loss(LOSS, rows, labels, dtype=np.float64, margin=0.4, distance=kind)
    expected = central_differences(lambda x: loop_loss(x, labels, 0.4, kind, loop_distance)[0], rows)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_collapsed_batch_is_stuck_at_the_margin_and_watch_says_so(run_loss, random_batch):
    rows = np.repeat(random_batch(12, size=1, width=32)[0], 8, axis=0)
    labels = [0, 0, 1, 1, 2, 2, 3, 3]
    for kind in ("euclidean", "squared"):
        loss, _, gradient = run_loss(LOSS, rows, labels, margin=0.3, distance=kind)
        assert loss == pytest.approx(0.3, rel=1e-5)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)

    def with_statistics(embeddings, labels):
        return LOSS(embeddings, labels)[0], watch.embedding_statistics(embeddings, labels)
    _, statistics, _ = run_loss(with_statistics, rows, labels)
    assert statistics["embedding/mean_pair_distance"] == 0 and statistics["embedding/std_pair_distance"] == 0
    assert "collapsed" in watch.describe_collapse(statistics, batch_size=8)


def test_duplicates_give_a_finite_gradient(run_loss, random_batch):
    rows, _ = random_batch(13, size=8)
    rows[1], rows[5] = rows[0], rows[2]
    for kind in ("euclidean", "squared"):
        loss, _, gradient = run_loss(LOSS, rows, [0, 0, 1, 1, 2, 2, 3, 3], distance=kind, margin=1.0)
        assert np.isfinite(loss) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0
