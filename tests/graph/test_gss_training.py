"""GSS's training graph against NumPy loops; training on made-up clusters."""
import numpy as np
import pytest
from scipy import sparse

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gss, gss_training, knn
from slim_retrieval.graph.gss import GSS


def clustered(n=120, d=8, seed=0, noise=0.6):
    """Return (unit rows, labels) around the same two directions for every seed."""
    random, centres = np.random.RandomState(seed), np.random.RandomState(99).randn(2, d)
    labels = random.randint(2, size=n)
    rows = centres[labels] + noise * random.randn(n, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def random_graph(n, seed=0):
    """Return a sparse S with a full diagonal; some nodes are joined to many, some to none."""
    dense = np.random.RandomState(seed).rand(n, n)
    dense[dense < 0.97] = 0
    dense[3], dense[:, 3] = 0, 0
    return sparse.csr_matrix((dense + dense.T + 0.5 * np.eye(n)).astype(np.float32))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_tensorflow_and_numpy_compute_the_same_features_of_a_batch(layers):
    x, matrix = clustered(30)[0], random_graph(30)
    random = np.random.RandomState(1)
    weights = [gss.Layer((np.eye(8) + 0.3 * random.randn(8, 8)).astype(np.float32),
                         (0.1 * random.randn(8)).astype(np.float32)) for _ in range(layers)]
    propagated, nodes = gss.propagate(matrix, x), np.array([3, 4, 17, 28])
    expected = gss.forward(x, propagated.copy(), matrix, weights, 0.3)[-1][nodes]
    needed, tables = gss_training.expand(matrix, nodes, layers)
    with tf.Graph().as_default(), tf.Session() as session:
        parts = [(own, tf.SparseTensor(np.stack([part.row, part.col], axis=1).astype(np.int64), part.data, part.shape))
                 for own, part in tables]
        found = session.run(gss_training.network(tf.constant(propagated[needed]), parts, weights, 0.3))
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    if layers > 1:
        assert len(nodes) < len(needed) < 30  # a batch feeds what it sees, and no more


def test_the_loss_equals_a_loop_over_pairs():
    h, beta, values = clustered(9)[0], 0.4, []
    for i in range(9):
        for j in range(9):
            if i != j:
                values.append(-0.5 * (max(0.0, float(h[i] @ h[j])) - beta) ** 2)
    with tf.Graph().as_default(), tf.Session() as session:
        loss = session.run(gss_training.separation_loss(tf.constant(h), beta))
    assert loss == pytest.approx(np.mean(values), rel=1e-5)


def test_the_gradient_draws_pairs_above_beta_together_and_pushes_others_apart():
    """Similarities .9 and .1, beta .5: d loss / d s = -(s - beta) is negative above beta, so s rises as it falls."""
    h = np.array([[1, 0, 0], [0.9, np.sqrt(0.19), 0], [0.1, 0, np.sqrt(0.99)]], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(h)
        step = session.run(-tf.gradients(gss_training.separation_loss(x, 0.5), x)[0])
    moved = h + 0.1 * step
    assert moved[0] @ moved[1] > 0.9 and moved[0] @ moved[2] < 0.1


def test_the_whole_gallery_as_one_batch_reports_the_losses_of_numpy():
    gallery, _ = clustered(40)
    model = GSS(steps=1, batch_size=40, epsilon=0.1, beta_percentile=80.0).fit(gallery)
    h = GSS(steps=0, epsilon=0.1).fit(gallery).gallery_.astype(np.float64)
    pairs = (h @ h.T)[~np.eye(40, dtype=bool)]
    assert model.report_["beta"] == pytest.approx(np.percentile(pairs, 80), abs=1e-4)
    expected = np.mean(-0.5 * (np.maximum(0, pairs) - model.report_["beta"]) ** 2)
    assert model.report_["first_loss"] == model.report_["loss"] == pytest.approx(expected, rel=1e-4)
    more = GSS(steps=8, learning_rate=1e-2, epsilon=0.1, beta_percentile=80.0).fit(gallery).report_
    assert more["first_loss"] == pytest.approx(expected, rel=1e-4) and more["loss"] < expected - 1e-3


@pytest.mark.parametrize("batch_size", [32, 1000])
def test_training_separates_two_noisy_clusters_beyond_plain_and_untrained_features(batch_size):
    (gallery, labels), (queries, query_labels) = [clustered(n, 32, seed, 1.3) for n, seed in ((160, 0), (60, 1))]

    def gap(moved, own):
        """The mean similarity within clusters less that across."""
        same = query_labels[:, None] == labels
        return (moved @ own.T)[same].mean() - (moved @ own.T)[~same].mean()

    def mean_average_precision(moved, own):
        right = labels[np.argsort(-moved @ own.T, axis=1, kind="stable")] == query_labels[:, None]
        return np.mean((right * np.cumsum(right, axis=1) / np.arange(1, len(own) + 1)).sum(1) / right.sum(1))

    settings = {"beta_percentile": 90.0, "learning_rate": 1e-3, "batch_size": batch_size}
    start, model = [GSS(steps=steps, **settings).fit(gallery) for steps in (0, 20)]
    moved = model.transform(queries)
    assert gap(moved, model.gallery_) > gap(start.transform(queries), start.gallery_) + 0.05
    assert mean_average_precision(moved, model.gallery_) > mean_average_precision(queries, gallery) + 0.04
    assert model.report_["steps"] == 20 and model.report_["seconds"] > 0


def test_same_seed_same_result_and_nothing_is_changed(tmp_path):
    gallery, _ = clustered()
    np.save(str(tmp_path / "g.npy"), gallery)
    mapped = np.load(str(tmp_path / "g.npy"), mmap_mode="r")  # a write would raise
    near = knn.neighbors(gallery, 6)
    before = [a.copy() for a in near]
    settings = {"steps": 4, "batch_size": 32, "epsilon": 0.1}
    first, again = GSS(**settings).fit(mapped, near), GSS(**settings).fit(gallery)
    np.testing.assert_array_equal(first.gallery_, again.gallery_)
    np.testing.assert_array_equal(first.transform(gallery[:5]), again.transform(gallery[:5]))
    assert np.abs(first.gallery_ - GSS(seed=1, **settings).fit(gallery).gallery_).max() > 0.01
    for array, copy in zip(near, before):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("n", [2, 3])
def test_tiny_galleries(n):
    model = GSS(steps=3).fit(clustered(n)[0])
    assert np.isfinite(model.gallery_).all() and model.report_["steps"] == 3
    assert GSS(steps=3).fit(clustered(1)[0]).report_ == {"k": 0}  # no pair to learn from


def test_opposite_images_are_not_drawn_together_by_a_beta_below_zero():
    """Half of the similarities are -1 and so is their 30th percentile: (0 - beta)^2 would pull on those pairs too."""
    gallery = np.repeat(np.array([[1, 0], [-1, 0]], np.float32), 10, axis=0)
    model = GSS(beta_percentile=30.0, steps=20).fit(gallery)
    assert model.report_["beta"] == 0
    assert (model.gallery_[:10] @ model.gallery_[10:].T < -0.5).all()


def test_a_loss_that_diverges_is_an_error():
    with pytest.raises(InputError, match="GSS's loss became nan in step 2 of 5 with learning rate nan; use a lower"):
        GSS(steps=5, learning_rate=float("nan")).fit(clustered(20)[0])
