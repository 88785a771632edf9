import numpy as np
import pytest
from scipy.spatial.distance import pdist

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import watch


def evaluate(rows, labels, before=None):
    with tf.Graph().as_default(), tf.Session() as session:
        before = None if before is None else tf.constant(np.asarray(before, np.float32))
        return session.run(watch.embedding_statistics(
            tf.constant(np.asarray(rows, np.float32)), tf.constant(np.asarray(labels, np.int32)), before))


def test_equals_scipy_and_loops(random_batch, loop_distance):
    rows, labels = random_batch(0)
    found = evaluate(rows, labels, before=rows * np.arange(1, 13)[:, None])
    distances = pdist(rows)
    assert found["embedding/mean_norm"] == pytest.approx(6.5, rel=1e-5)
    assert found["embedding/mean_pair_distance"] == pytest.approx(distances.mean(), rel=1e-5)
    assert found["embedding/std_pair_distance"] == pytest.approx(distances.std(), rel=1e-4)
    hardest_positive, hardest_negative = [], []
    for a, row in enumerate(rows):
        positives = [loop_distance(row, rows[i], "euclidean") for i in range(12) if i != a and labels[i] == labels[a]]
        negatives = [loop_distance(row, rows[i], "euclidean") for i in range(12) if labels[i] != labels[a]]
        hardest_positive += [max(positives)] if positives else []
        hardest_negative += [min(negatives)] if negatives else []
    assert found["embedding/hardest_positive"] == pytest.approx(np.mean(hardest_positive), rel=1e-5)
    assert found["embedding/hardest_negative"] == pytest.approx(np.mean(hardest_negative), rel=1e-5)


def test_norm_of_the_embeddings_themselves(random_batch):
    rows, labels = random_batch(1)
    assert evaluate(rows * 3, labels)["embedding/mean_norm"] == pytest.approx(3, rel=1e-5)


def test_batch_of_one_and_zero_rows_are_finite():
    found = evaluate([[0, 0]], [4])
    assert all(value == 0 for value in found.values())


def test_no_gradient_flows():
    with tf.Graph().as_default():
        rows = tf.constant(np.eye(3, dtype=np.float32))
        statistics = watch.embedding_statistics(rows, tf.constant([0, 0, 1]))
        assert tf.gradients(list(statistics.values()), rows) == [None]


def test_collapse_is_told_from_health(random_batch):
    rows, labels = random_batch(2, width=16)
    assert watch.describe_collapse(evaluate(rows, labels), batch_size=12) == ""
    near = rows[:1] + 1e-3 * rows
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    line = watch.describe_collapse(evaluate(near, labels), batch_size=12)
    assert "collapsed" in line and "below 0.05" in line and "\n" not in line
    assert watch.describe_collapse(evaluate(rows[:1], labels[:1]), batch_size=1) == ""


def test_summary_for_the_log():
    values = {"embedding/mean_norm": 3.14159, "embedding/mean_pair_distance": 1.2, "embedding/std_pair_distance": 0.25}
    assert watch.summary(values) == {"norm": "3.14", "apart": "1.200+-0.250"}
    assert watch.summary(dict(values, **{"triplet/active_triplets": 0.237}))["active"] == "24%"
    both = watch.summary(dict(values, **{"a/active_pairs": 1.0, "b/active_anchors": 0.5, "b/hardest_positive": 0.9}))
    assert (both["active_a"], both["active_b"]) == ("100%", "50%") and "active" not in both
