import numpy as np

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks

LABELS = [0, 0, 1, 0, 2]


def evaluate(function, *arguments):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(function(*[tf.constant(a) for a in arguments]))


def test_pairs_by_hand():
    same = [[1, 1, 0, 1, 0], [1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 0, 0, 1]]
    positives = [[0, 1, 0, 1, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(evaluate(masks.same_class, LABELS), np.array(same, bool))
    np.testing.assert_array_equal(evaluate(masks.positive_pairs, LABELS), np.array(positives, bool))
    np.testing.assert_array_equal(evaluate(masks.negative_pairs, LABELS), ~np.array(same, bool))
    np.testing.assert_array_equal(evaluate(masks.distinct_pairs, LABELS), ~np.eye(5, dtype=bool))


def test_valid_triplets_by_loops():
    found = evaluate(masks.valid_triplets, LABELS)
    n = len(LABELS)
    for a in range(n):
        for p in range(n):
            for k in range(n):
                valid = a != p and LABELS[a] == LABELS[p] and LABELS[a] != LABELS[k]
                assert found[a, p, k] == valid, (a, p, k)
    # three anchors of class 0, two positives each, two negatives each
    assert found.sum() == 12


def test_masked_mean_and_extremes_by_hand():
    values = np.array([[1, 5, -3], [4, 2, 9], [7, 8, 6]], np.float32)
    mask = np.array([[True, False, True], [False, False, False], [True, True, False]])
    assert evaluate(masks.masked_mean, values, mask) == (1 - 3 + 7 + 8) / 4
    np.testing.assert_array_equal(evaluate(masks.masked_row_max, values, mask), [1, 0, 8])
    np.testing.assert_array_equal(evaluate(masks.masked_row_min, values, mask), [-3, 0, 7])


def test_nothing_masked_in_is_zero_even_beside_infinity_and_nan():
    values = np.array([[np.inf, np.nan]], np.float32)
    nothing = np.zeros((1, 2), bool)
    assert evaluate(masks.masked_mean, values, nothing) == 0
    np.testing.assert_array_equal(evaluate(masks.masked_row_max, values, nothing), [0])


def test_masked_entries_take_no_share_of_the_gradient_in_a_tie():
    # The masked-out 0 equals the maximum; were it kept as 0, the gradient would be halved.
    with tf.Graph().as_default(), tf.Session() as session:
        values = tf.constant([[0.0, 0.0, -1.0]])
        largest = masks.masked_row_max(values, tf.constant([[True, False, True]]))
        np.testing.assert_array_equal(session.run(tf.gradients(largest, values)[0]), [[1, 0, 0]])
