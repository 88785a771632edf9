"""What must hold for every loss there is: degenerate batches, invariances, gradients, a training that stays finite."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import factory, registry
from slim_retrieval.losses.registry import LOSSES

NAMES = sorted(LOSSES)
EMBEDDING = [name for name in NAMES if "embeddings" in registry.inputs(LOSSES[name])]
CLASSES, WIDTH = 4, 5
TAGS = np.eye(CLASSES, dtype=np.float32)
MEMORY = [name for name in NAMES if "memory" in registry.hooks(LOSSES[name])]


class Built:
    """One loss on raw rows that are normalised inside, in a session of its own."""

    def __init__(self, name, dtype=np.float64, **fields):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.raw = tf.placeholder(dtype, [None, WIDTH])
            self.logits, self.labels = tf.placeholder(dtype, [None, CLASSES]), tf.placeholder(tf.int32, [None])
            rows = self.raw / tf.sqrt(tf.reduce_sum(tf.square(self.raw), 1, keepdims=True) + 1e-12)
            outputs = factory.Outputs(rows, self.raw, {"label": self.logits}, [self.raw])
            self.total = factory.total_loss([dict(fields, name=name)], outputs, {"label": self.labels},
                                            factory.Columns({"label": CLASSES}, {"label": TAGS}))
            self.variables = tf.trainable_variables()
            given = [self.raw, self.logits] + self.variables
            self.gradients = [tf.zeros_like(x) if g is None else tf.convert_to_tensor(g)
                              for g, x in zip(tf.gradients(self.total.total, given), given)]
            self.session = tf.Session(graph=self.graph)
            self.session.run(tf.global_variables_initializer())

    def __call__(self, rows, labels, logits=None):
        """Return (loss, [gradients by rows, logits and variables], scalars)."""
        logits = np.zeros((len(rows), CLASSES)) if logits is None else logits
        return self.session.run([self.total.total, self.gradients, self.total.scalars],
                                {self.raw: rows, self.logits: logits, self.labels: np.asarray(labels, np.int32)})


@pytest.fixture(scope="module")
def built():
    made = {}

    def get(name, **options):
        key = (name,) + tuple(sorted(options.items()))
        if key not in made:
            made[key] = Built(name, **options)
        return made[key]
    yield get
    for one in made.values():
        one.session.close()


def batch(seed, size=12):
    random = np.random.RandomState(seed)
    rows = random.randn(size, WIDTH)
    labels = np.arange(size) // 3 % CLASSES
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels, random.randn(size, CLASSES)


def without_draws(name):
    """Return a miner that draws nothing for the losses whose own one does."""
    return {"miner": "hard_negative"} if name in ("margin", "triplet_softmax") else {}


def assert_finite(found, what):
    loss, gradients, scalars = found
    assert np.isfinite([loss] + list(scalars.values())).all(), what
    assert all(np.isfinite(gradient).all() for gradient in gradients), what


@pytest.mark.parametrize("name", NAMES)
def test_degenerate_batches_are_finite(built, degenerate_batches, name):
    one = built(name, dtype=np.float32)
    for what, (rows, labels) in degenerate_batches.items():
        labels = np.asarray(labels) % CLASSES
        if "singletons" in what:
            rows, labels = rows[:CLASSES], labels[:CLASSES]
        assert_finite(one(rows, labels), what)
        assert_finite(one(rows, np.full(len(rows), -1)), "no label known")
        assert_finite(one(np.zeros_like(rows), labels), "zero rows")
    rows, labels, logits = batch(0)
    rows[1], rows[3] = rows[0], rows[0]  # a duplicate within a class and one across
    found = one(rows, labels, logits)
    assert_finite(found, "duplicates")
    assert found[0] != 0 and max(np.abs(gradient).max() for gradient in found[1]) > 0
    assert_finite(one(np.repeat(rows[:1], 12, axis=0), labels), "collapsed")


@pytest.mark.parametrize("name", NAMES)
def test_no_known_label_costs_nothing(built, name):
    rows, labels, logits = batch(1)
    loss, gradients, _ = built(name)(rows, np.full(len(rows), -1), logits)
    if name in ("soft_triple", "proxy_anchor"):  # a spread of centres; log(1 + 0) is 0 for the latter
        assert not gradients[0].any() and (loss == 0) == (name == "proxy_anchor")
    else:
        assert loss == 0 and not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_label_change_nothing(built, name):
    rows, labels, logits = batch(2)
    one = built(name, **without_draws(name))
    whole = one(rows, np.where(np.arange(12) % 3 == 2, -1, labels), logits)
    kept = np.arange(12) % 3 != 2
    part = one(rows[kept], labels[kept], logits[kept])
    assert whole[0] == pytest.approx(part[0], rel=1e-9) and whole[0] != 0
    np.testing.assert_allclose(whole[1][0][kept], part[1][0], atol=1e-9)
    np.testing.assert_allclose(whole[1][0][~kept], 0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_does_not_matter(built, name):
    rows, labels, logits = batch(3)
    order = np.random.RandomState(0).permutation(len(rows))
    one = built(name, **without_draws(name))
    first, second = one(rows, labels, logits), one(rows[order], labels[order], logits[order])
    assert first[0] == pytest.approx(second[0], rel=1e-9)
    for found, other in zip(first[1][:2], second[1][:2]):
        np.testing.assert_allclose(found[order], other, atol=1e-9)
    for found, other in zip(first[1][2:], second[1][2:]):
        np.testing.assert_allclose(found, other, atol=1e-9)


@pytest.mark.parametrize("name", EMBEDDING)
def test_a_rotation_does_not_matter(built, name):
    rows, labels, logits = batch(4)
    turn, _ = np.linalg.qr(np.random.RandomState(1).randn(WIDTH, WIDTH))
    one = built(name, **without_draws(name))
    first = one(rows, labels, logits)
    before = one.session.run(one.variables)
    for variable, value in zip(one.variables, before):  # what classes have in this space turns with it
        variable.load(value @ turn if value.shape[-1] == WIDTH else value, one.session)
    second = one(rows @ turn, labels, logits)
    for variable, value in zip(one.variables, before):
        variable.load(value, one.session)
    assert first[0] == pytest.approx(second[0], rel=1e-8)
    np.testing.assert_allclose(first[1][0] @ turn, second[1][0], atol=1e-8)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "circle"])
def test_gradient_by_central_differences(built, central_differences, name):
    """Through the normalisation of the rows, by rows and logits; circle's weights take no gradient (test_circle.py)."""
    rows, labels, logits = batch(5, size=9)
    one = built(name, **without_draws(name))
    _, gradients, _ = one(rows, labels, logits)
    for place, expected in enumerate((central_differences(lambda x: one(x, labels, logits)[0], rows),
                                      central_differences(lambda x: one(rows, labels, x)[0], logits))):
        np.testing.assert_allclose(gradients[place], expected, atol=2e-6 * max(1, np.abs(expected).max()))
    assert max(np.abs(gradient).max() for gradient in gradients[:2]) > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_two_hundred_steps_stay_finite_from_a_small_to_a_huge_rate(name):
    """A toy network: points that collapse, scatter or duplicate as the loss pleases; plain gradient descent."""
    with tf.Graph().as_default(), tf.Session() as session:
        rate, steps = tf.placeholder(tf.float32, []), 200
        raw = tf.get_variable("raw", [12, WIDTH])
        logits = tf.matmul(raw, tf.get_variable("logits", [WIDTH, CLASSES]))
        rows = raw * tf.rsqrt(tf.reduce_sum(tf.square(raw), 1, keepdims=True) + 1e-6)
        labels = {"label": tf.constant(batch(0)[1].astype(np.int32))}
        memory = {"memory": 16} if name in MEMORY else {}
        losses = [dict(memory, name=name)]
        total = factory.total_loss(losses, factory.Outputs(rows, raw, {"label": logits}, [raw]), labels,
                                   factory.Columns({"label": CLASSES}, {"label": TAGS}))
        optimizer = tf.train.GradientDescentOptimizer(rate)
        gradients = optimizer.compute_gradients(total.total)
        with tf.control_dependencies([g for g, _ in gradients if g is not None] + list(total.scalars.values())):
            updates = factory.update_ops(losses, [total])
        with tf.control_dependencies(updates + [tf.convert_to_tensor(g) for g, _ in gradients if g is not None]):
            train = optimizer.apply_gradients(gradients, tf.train.get_or_create_global_step())
        for value in (1e-5, 1e-2, 1.0):
            session.run(tf.global_variables_initializer())
            for _ in range(steps):
                loss, _ = session.run([total.total, train], {rate: value})
                assert np.isfinite(loss)
            assert all(np.isfinite(v).all() for v in session.run(tf.trainable_variables()))
