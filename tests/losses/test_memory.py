"""The memory across batches: what it holds, from which step, and that losses see it as further candidates."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import factory, memory, nt_xent, registry, triplet_batch_hard

NAMES = sorted(name for name, function in registry.LOSSES.items() if "memory" in registry.hooks(function))


def unit_rows(seed, size, width=4):
    rows = np.random.RandomState(seed).randn(size, width)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Ring:
    """A memory of five rows of width 2, stored into by hand."""

    def __init__(self, start=0):
        with tf.Graph().as_default() as graph:
            self.rows, self.labels = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.int32, [None])
            self.step = tf.train.get_or_create_global_step()
            with tf.variable_scope("m"):
                self.held = memory.candidates(5, 2, tf.float32)
            with tf.variable_scope("m", reuse=True):
                self.operation = memory.store(5, self.rows, self.labels, start)
            assert not tf.trainable_variables()
            assert sorted(v.op.name for v in tf.global_variables()) == [
                "global_step", "m/memory_labels", "m/memory_position", "m/memory_rows"]
            self.session = tf.Session(graph=graph)
            self.session.run(tf.global_variables_initializer())

    def store(self, values, labels, step=0):
        self.step.load(step, self.session)
        self.session.run(self.operation, {self.rows: np.repeat(np.float32(values)[:, None], 2, 1), self.labels: labels})
        rows, found = self.session.run(self.held)
        return list(rows[:, 1]), list(found)


def test_the_newest_replaces_the_oldest():
    ring = Ring()
    assert ring.store([1, 2, 3], [1, 2, 3]) == ([1, 2, 3, 0, 0], [1, 2, 3, -1, -1])
    assert ring.store([4, 5, 6], [4, 5, 6]) == ([6, 2, 3, 4, 5], [6, 2, 3, 4, 5])
    assert ring.store([7, 8], [7, -1]) == ([6, 7, 3, 4, 5], [6, 7, 3, 4, 5])  # of unknown label: not stored
    assert sorted(ring.store(range(10, 18), range(10, 18))[1]) == [13, 14, 15, 16, 17]  # more than it holds


def test_nothing_is_stored_before_its_start():
    ring = Ring(start=3)
    assert ring.store([1], [1], step=2)[1] == [-1] * 5
    assert ring.store([1], [1], step=3)[1] == [1, -1, -1, -1, -1]


def with_memory(name, rows, labels, held, held_labels, classes=3, **options):
    """Return (loss, gradient by rows) with a memory of the given content."""
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.constant(rows)
        function = registry.LOSSES[name]
        if "num_classes" in registry.inputs(function):
            options["num_classes"] = classes
        found = function(fed, tf.constant(labels, tf.int32),
                         memory=(tf.constant(held), tf.constant(held_labels, tf.int32)), **options)[0]
        session.run(tf.global_variables_initializer())
        return session.run([found, tf.gradients(found, fed)[0]])


def without_draws(name):
    return {"triplet_miner": registry.miners_of(registry.LOSSES[name])["hard_negative"]} if name == "margin" else {}


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_memory_changes_nothing(name):
    rows, labels = unit_rows(0, 6), [0, 0, 1, 1, 2, 2]
    empty = with_memory(name, rows, labels, np.zeros((3, 4)), [-1] * 3, **without_draws(name))
    none = with_memory(name, rows, labels, np.zeros((0, 4)), [], **without_draws(name))
    assert empty[0] == pytest.approx(none[0], rel=1e-12) and empty[0] > 0
    np.testing.assert_allclose(empty[1], none[1], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_filled_memory_is_seen_and_its_gradient_is_right(run_loss, name, central_differences):
    rows, labels, held = unit_rows(1, 5), [0, 0, 1, 1, 2], unit_rows(2, 4)
    options = dict(without_draws(name), **({"num_classes": 3, "learn_beta": False} if name == "margin" else {}))

    def loss(rows, labels):
        return registry.LOSSES[name](rows, labels, memory=(tf.constant(held), tf.constant([2, 0, 1, -1])), **options)
    found, _, gradient = run_loss(loss, rows, labels, dtype=np.float64)
    assert found != pytest.approx(with_memory(name, rows, labels, held, [-1] * 4, **without_draws(name))[0], rel=1e-6)
    if name != "circle":  # whose weights take no gradient
        expected = central_differences(lambda x: run_loss(loss, x, labels, dtype=np.float64)[0], rows)
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * max(1, np.abs(expected).max()))


def test_losses_with_a_memory_by_loops():
    rows, labels, held, held_labels = unit_rows(3, 4), [0, 1, 1, 2], unit_rows(4, 3), [0, 2, -1]
    everything, known = np.concatenate([rows, held]), labels + held_labels
    softmax, hard = [], []
    for a in range(4):
        others = [i for i in range(7) if i != a and known[i] >= 0]
        negatives = [i for i in others if known[i] != labels[a]]
        positives = [i for i in others if known[i] == labels[a]]
        for p in positives:
            terms = [np.exp(rows[a] @ everything[i] / 0.5) for i in [p] + negatives]
            softmax.append(-np.log(terms[0] / sum(terms)))
        far = [np.linalg.norm(rows[a] - other) for other in everything]
        if positives:
            hard.append(max(0, 0.5 + max(far[i] for i in positives) - min(far[i] for i in negatives)))
    assert len(hard) == 4
    for function, options, expected in ((nt_xent.nt_xent, {"temperature": 0.5}, softmax),
                                        (triplet_batch_hard.triplet_batch_hard, {"margin": 0.5}, hard)):
        found, _ = with_memory(function.__name__, rows, labels, held, held_labels, **options)
        assert found == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_step_compares_with_the_memory_as_it_was_and_then_stores_its_rows():
    """Three batches through the factory; the loss of each is that of the loop with all rows before it."""
    batches, labels = [unit_rows(seed, 4).astype(np.float32) for seed in (5, 6, 7)], [0, 0, 1, 2]
    spec = {"name": "nt_xent", "memory": 100}
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [4, 4])
        total = factory.total_loss([spec], factory.Outputs(fed, fed, {}, [fed]), {"label": tf.constant(labels)},
                                   factory.Columns({"label": 3}, {}))
        with tf.control_dependencies([total.total]):
            updates = factory.update_ops([spec], [total])
        session.run(tf.global_variables_initializer())
        for number, rows in enumerate(batches):
            before = np.concatenate([np.zeros((0, 4))] + batches[:number])
            expected = with_memory("nt_xent", rows.astype(float), labels, before, labels * number)[0]
            found, _ = session.run([total.total, updates], {fed: rows})
            assert found == pytest.approx(expected, rel=1e-5)
