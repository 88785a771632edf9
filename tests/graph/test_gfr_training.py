"""GFR's training of networks: rates and steps against arithmetic by hand; learning on made-up clusters."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.method_schema import GFRConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import (
    gfr_layers,
    gfr_losses,
    gfr_metric_descent,
    gfr_network,
    gfr_options,
    gfr_resume,
    gfr_training,
    knn,
)
from slim_retrieval.graph.gfr import GFR

SAGE = {"layer": "sage"}


def clusters(n, seed, classes=8, d=16, noise=0.4):
    """Return (unit rows, labels) around the same class centres for every seed."""
    centres = np.random.RandomState(99).normal(size=(classes, d))
    rng = np.random.RandomState(seed)
    labels = rng.randint(classes, size=n)
    # Half of the dimensions say nothing about the class: there is something to learn.
    spread = noise * np.where(np.arange(d) % 2, 4.0, 1.0)
    x = centres[labels] + rng.normal(size=(n, d)) * spread
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def mean_average_precision(queries, query_labels, gallery, labels):
    order = np.argsort(-queries @ gallery.T, axis=1, kind="stable")
    right = labels[order] == query_labels[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, len(gallery) + 1)
    return np.mean((precision * right).sum(axis=1) / right.sum(axis=1))


def test_learning_rate_changes_at_the_published_epochs_and_at_shares_of_others():
    rates = [gfr_training.learning_rate(epoch, GFRConfig(epochs=70)) for epoch in range(70)]
    assert rates == [1e-3] * 39 + [5e-4] * 20 + [1e-4] * 11
    ten = GFRConfig(epochs=10, learning_rate=1.0, milestones=[0.5, 0.8])
    assert [gfr_training.learning_rate(epoch, ten) for epoch in range(10)] == [1] * 5 + [.5] * 3 + [.1] * 2
    assert gfr_training.learning_rate(9, GFRConfig(epochs=10, learning_rate=1.0, milestones=[])) == 1


def test_weight_decay_goes_through_adam():
    """Two steps on loss = 3 x + 0 y, by hand. y has no gradient but its decay, which Adam scales to full steps."""
    rate, decay = 0.01, 0.5
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = tf.Variable(2.0), tf.Variable(4.0)
        step = gfr_training.minimise(3 * x + 0 * y, rate, decay)
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            session.run(step)
        found = session.run([x, y])
    for start, slope, value in zip([2.0, 4.0], [3.0, 0.0], found):
        weight, m, v = start, 0.0, 0.0
        for t in [1, 2]:
            gradient = slope + decay * weight
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient ** 2
            weight -= rate * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
        assert value == pytest.approx(weight, rel=1e-5)
        assert value == pytest.approx(start - 2 * rate, rel=1e-3)


@pytest.mark.parametrize("fields", [
    SAGE, dict(SAGE, loss="classRank"), dict(SAGE, loss="classBatch"), dict(SAGE, loss="rank", margin=0.5),
    dict(SAGE, layers=2, residue=True, weighted=True, drop_edge=0.2),
    dict(SAGE, concate=True, combine=True, aggregate="mean"), {"layer": "gat", "metric": "none", "sample": 4},
    {"layer": "gcnii", "metric": "none", "layers": 2, "neighbors": 5},
    {"layer": "appnp", "layers": 2, "neighbors": 5}], ids=str)
def test_learning_beats_plain_search_for_unseen_queries(fields):
    (train, labels), (gallery, gallery_labels), (queries, query_labels) = [clusters(300, seed) for seed in range(3)]
    plain = mean_average_precision(queries, query_labels, gallery, gallery_labels)
    one = GFR(**dict({"epochs": 1, "learning_rate": 0.01}, **fields)).learn(train, labels).report_
    model = GFR(**dict({"epochs": 12, "learning_rate": 0.01}, **fields)).learn(train, labels).fit(gallery)
    learned = mean_average_precision(model.transform(queries), query_labels, model.gallery_, gallery_labels)
    assert learned > plain + 0.1
    assert model.report_["loss"] < 0.9 * one["loss"]
    assert model.report_.get("train_accuracy", 1) >= one.get("train_accuracy", 0)
    assert model.report_["epochs"] == 12 and model.report_["labels"]
    assert model.report_["seconds"] > 0


def test_learning_without_labels_pulls_mutual_neighbours_together():
    train = clusters(128, seed=0)[0]
    one, more = [GFR(layer="gat", drop_edge=0.2, epochs=epochs, learning_rate=0.01).learn(train) for epochs in (1, 8)]
    assert more.report_["loss_name"] == "unsupervised" and not more.report_["labels"]
    assert more.report_["loss"] < one.report_["loss"]
    again = GFR(layer="gat", drop_edge=0.2, epochs=8, learning_rate=0.01).learn(train)
    np.testing.assert_array_equal(again.weights_[0]["P"], more.weights_[0]["P"])


def test_same_seed_same_weights_and_nothing_is_changed():
    x, labels = clusters(200, seed=0)
    near = knn.neighbors(x, 10)
    before = x.copy(), labels.copy(), near[0].copy()
    fields = {"layer": "sage", "epochs": 2, "loss": "classRank", "drop_edge": 0.2, "sample": 5}
    learn = lambda seed: GFR(seed=seed, **fields).learn(x, labels, near).weights_[0]  # noqa: E731
    first, again, other = learn(0), learn(0), learn(1)
    np.testing.assert_array_equal(first["P"], again["P"])
    np.testing.assert_array_equal(first["W"], again["W"])
    assert np.abs(first["P"] - other["P"]).max() > 0.01
    for array, copy in zip((x, labels, near[0]), before):
        np.testing.assert_array_equal(array, copy)


def test_learning_again_asks_for_fit_again():
    x, labels = clusters(64, seed=0)
    model = GFR(layer="sage", epochs=1).learn(x, labels).fit(x).learn(x, labels)
    with pytest.raises(InputError, match="call fit first"):
        model.transform(x)


@pytest.mark.parametrize("loss", ["class", "classRank", "classBatch"])
def test_memory_maps_text_labels_singletons_and_a_last_batch_of_one(loss, tmp_path):
    x, _ = clusters(65, seed=0)  # 64 + 1
    np.save(str(tmp_path / "x.npy"), x)
    labels = np.array(["boot"] * 32 + ["shirt"] * 32 + ["hat"])
    model = GFR(layer="sage", epochs=2, loss=loss).learn(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), labels)
    assert all(np.isfinite(array).all() for array in model.weights_[0].values())
    assert np.isfinite(model.report_["loss"])


@pytest.mark.parametrize("fields, labels, words", [
    (SAGE, np.zeros(20, int), ["labels hold 1", "at least 2"]),
    (SAGE, np.arange(19), ["(19,)", "(20, 6)", "one label for each row"]),
    (dict(SAGE, learning_rate=float("nan")), np.arange(20) % 2, ["became nan", "epoch 1 of 70", "lower"]),
])
def test_bad_training_input_is_refused(fields, labels, words):
    x, _ = clusters(20, seed=0, d=6)
    with pytest.raises(InputError) as error:
        GFR(batch_size=8, **fields).learn(x, labels)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("fields", [SAGE, dict(SAGE, layers=2, loss="classRank", drop_edge=0.2, sample=5),
                                    {"layer": "gat", "metric": "none", "loss": "unsupervised"}], ids=str)
@pytest.mark.parametrize("at", [0, 2, 3])
def test_a_stopped_training_ends_with_the_same_bits(fields, at, tmp_path, monkeypatch):
    x, labels = clusters(150, seed=0)
    options = gfr_options.resolve(dict(fields, epochs=4))
    near, path = knn.neighbors(x, 10)[0], str(tmp_path / "partial.npz")
    run = lambda resume, seed=5: gfr_training.train(  # noqa: E731
        x, near, None if options.loss == "unsupervised" else labels, options, seed, resume)
    whole, report = run(None)
    check = gfr_metric_descent.check_loss

    def killed(loss, epoch, *more):
        if epoch == at:
            raise KeyboardInterrupt
        check(loss, epoch, *more)
    monkeypatch.setattr(gfr_metric_descent, "check_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    assert [p.name for p in tmp_path.iterdir()] == (["partial.npz"] if at else [])
    monkeypatch.setattr(gfr_metric_descent, "check_loss", check)
    weights, resumed = run(path)
    for layer, expected in zip(weights, whole):
        for name in expected:
            np.testing.assert_array_equal(layer[name], expected[name])
    assert resumed["loss"] == report["loss"] and (resumed["seconds_before"] > 0) == (at > 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fields", [SAGE, {"layer": "gcnii", "layers": 3}], ids=str)
def test_a_batch_of_everything_is_one_step_over_the_whole_graph(fields):
    """The first epoch's loss is that of the untrained weights as whole-graph inference in NumPy has it."""
    x, labels = clusters(90, seed=0)
    near = knn.neighbors(x, 10)[0]
    options = gfr_options.resolve(dict(fields, loss="class", epochs=1, batch_size=1000))
    report = gfr_training.train(x, near, labels, options, 3)[1]
    features = gfr_network.Network(gfr_layers.initial(16, options, 3), options, 4096).fit(x, near)
    head = gfr_metric_descent.first_head(16, 8, 3)
    expected = gfr_losses.classes(features, gfr_losses.Drawn(labels, None), head, options)[0]
    assert report["loss"] == pytest.approx(expected, rel=1e-5)


def test_what_another_training_left_behind_is_passed_over(tmp_path, capsys):
    """Another seed, or a damaged file."""
    x, labels = clusters(100, seed=0)
    near, path = knn.neighbors(x, 10)[0], str(tmp_path / "partial.npz")
    options = gfr_options.resolve(dict(SAGE, epochs=1))
    whole = gfr_training.train(x, near, labels, options, 5)[0][0]["W"]
    gfr_resume.write(path, "another", gfr_resume.State(1, [np.zeros(3)], {}, 1.0))
    np.testing.assert_array_equal(gfr_training.train(x, near, labels, options, 5, path)[0][0]["W"], whole)
    (tmp_path / "partial.npz").write_bytes(b"PK damaged")
    np.testing.assert_array_equal(gfr_training.train(x, near, labels, options, 5, path)[0][0]["W"], whole)
    assert "going on" not in capsys.readouterr().out and not list(tmp_path.iterdir())
