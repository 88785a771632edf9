"""The sum of several losses: fixed, by uncertainty, by GradNorm; worked out in NumPy from values and gradients."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import factory, weighting

MATRIX = np.array([[2.0, 1.0], [0.5, -1.0], [0.1, 0.3]])  # loss i is (MATRIX[i] . x)^2
START = np.array([1.0, 0.5])
WEIGHTS = [1.0, 2.0, 1.0]


def build(name, present=(1.0, 1.0, 1.0), alpha=1.5):
    x = tf.get_variable("x", dtype=tf.float32, initializer=tf.constant(START, tf.float32))
    shared = tf.identity(x)
    values = [tf.square(tf.reduce_sum(shared * row)) * there for row, there in zip(MATRIX.astype(np.float32), present)]
    return x, values, weighting.WEIGHTINGS[name](values, [tf.constant(p) for p in present], WEIGHTS, [shared],
                                                 {"alpha": alpha})


def evaluate(fetch, load=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for name, value in (load or {}).items():
            next(v for v in tf.global_variables() if v.op.name == name).load(value, session)
        return session.run(fetch)


def variable(name):
    return next(v for v in tf.global_variables() if v.op.name == name)


def losses_and_norms():
    products = MATRIX @ START
    return products ** 2, np.abs(2 * products) * np.linalg.norm(MATRIX, axis=1)


def test_fixed():
    with tf.Graph().as_default():
        _, _, (total, weights) = build("fixed")
        assert weights == WEIGHTS and len(tf.trainable_variables()) == 1
        assert evaluate(total) == pytest.approx(np.dot(WEIGHTS, losses_and_norms()[0]), rel=1e-6)


@pytest.mark.parametrize("present", [(1.0, 1.0, 1.0), (1.0, 0.0, 1.0)])
def test_uncertainty_and_its_gradient(present):
    free, there = np.array([0.3, -0.4, 2.0]), np.array(present)
    s, slope = 5 * np.tanh(free / 5), 1 - np.tanh(free / 5) ** 2
    values = losses_and_norms()[0] * there
    with tf.Graph().as_default():
        _, _, (total, weights) = build("uncertainty", present)
        found = evaluate([total, tf.gradients(total, variable("log_variance"))[0], tf.stack(weights)],
                         {"log_variance": free})
    assert found[0] == pytest.approx(np.sum(WEIGHTS * (np.exp(-s) * values + there * s / 2)), rel=1e-5)
    np.testing.assert_allclose(found[1], WEIGHTS * (-np.exp(-s) * values + there / 2) * slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[2], WEIGHTS * np.exp(-s), rtol=1e-5)


def test_uncertainty_of_a_loss_at_zero_stays_bounded():
    with tf.Graph().as_default(), tf.Session() as session:
        total, weights = weighting.uncertainty([tf.constant(0.0)], [tf.constant(1.0)], [1.0], [], {})
        train = tf.train.GradientDescentOptimizer(1.0).minimize(total)
        session.run(tf.global_variables_initializer())
        for _ in range(300):
            session.run(train)
        assert 50 < session.run(weights[0]) < np.exp(5)


def test_uncertainty_finds_the_variance():
    # d/ds (e^-s L + s / 2) = 0 at e^s = 2 L.
    with tf.Graph().as_default(), tf.Session() as session:
        values, present = [tf.constant(2.0), tf.constant(0.25)], [tf.constant(1.0)] * 2
        total, weights = weighting.uncertainty(values, present, [1.0, 1.0], [], {})
        train = tf.train.GradientDescentOptimizer(0.5).minimize(total)
        session.run(tf.global_variables_initializer())
        for _ in range(300):
            session.run(train)
        np.testing.assert_allclose(session.run(weights), [1 / 4, 2.0], rtol=1e-3)


@pytest.mark.parametrize("present", [(1.0, 1.0, 1.0), (1.0, 0.0, 1.0)])
@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_gradnorm_and_its_gradient(alpha, present, central_differences):
    free, first, there = np.array([0.2, -0.3, 0.1]), np.array([5.0, 1.0, 0.5]), np.array(present)
    values, norms = (part * there for part in losses_and_norms())

    def learned(v):
        return 3 * np.exp(v) / np.exp(v).sum()

    def mean(parts):
        return (parts * there).sum() / there.sum()
    ratios = values / first
    size = mean(learned(free) * norms)
    target = size * (ratios / mean(ratios)) ** alpha  # a constant for the gradient (the paper's section 3)

    def objective(v):
        return np.sum(there * np.abs(learned(v) * norms - target)) / size
    with tf.Graph().as_default():
        x, _, (total, weights) = build("gradnorm", present, alpha)
        found = evaluate([total, tf.gradients(total, variable("gradnorm"))[0], tf.gradients(total, x)[0],
                          tf.stack(weights)], {"gradnorm": free, "first_losses": first})
    w = WEIGHTS * learned(free)
    assert found[0] == pytest.approx(np.dot(w, values), rel=1e-5)
    np.testing.assert_allclose(found[1], central_differences(objective, free), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found[2], (w * there * 2 * (MATRIX @ START)) @ MATRIX, rtol=1e-5)  # w is constant for x
    np.testing.assert_allclose(found[3], w, rtol=1e-5)


def test_gradnorm_balances_two_losses_of_very_different_scale():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.get_variable("x", initializer=tf.constant([1.0, 1.0]))
        shared = tf.identity(x)
        values = [100 * shared[0], shared[1]]
        total, weights = weighting.gradnorm(values, [tf.constant(1.0)] * 2, [1.0, 1.0], [shared], {"alpha": 0.0})
        train = tf.train.GradientDescentOptimizer(0.02).minimize(total, var_list=[variable("gradnorm")])
        session.run(tf.global_variables_initializer())
        for _ in range(1500):
            session.run(train)
        heavy, light = session.run(weights)
        assert heavy + light == pytest.approx(2, rel=1e-4)
        assert 0.7 < 100 * heavy / light < 1.4


def test_the_first_losses_are_noted_once_and_per_task():
    specs = [{"name": "contrastive"}, {"name": "contrastive", "label": "other"}]
    method = {"name": "gradnorm", "alpha": 1.5}
    with tf.Graph().as_default(), tf.Session() as session:
        rows = tf.placeholder(tf.float32, [3, 2])
        labels = {"label": tf.constant([0, 0, 1]), "other": tf.placeholder(tf.int32, [3])}
        outputs = factory.Outputs(rows, rows, {}, [rows])
        total = factory.total_loss(specs, outputs, labels, factory.Columns({}, {}), method)
        with tf.control_dependencies([total.values]):
            updates = factory.update_ops(specs, [total], method)
        session.run(tf.global_variables_initializer())
        first = variable("losses/first_losses")
        assert "losses/first_losses" not in [v.op.name for v in tf.trainable_variables()]
        batches = np.random.RandomState(0).randn(3, 3, 2)
        noted = []
        for batch, other in zip(batches, ([-1, -1, -1], [0, 1, 1], [0, 1, 1])):
            values, _ = session.run([total.values, updates], {rows: batch, labels["other"]: other})
            noted.append((values, session.run(first)))
        assert noted[0][1][0] == noted[2][1][0] == noted[0][0][0]
        assert noted[0][1][1] == -1 and noted[1][1][1] == noted[2][1][1] == noted[1][0][1] > 0


def test_an_unknown_weighting():
    with tf.Graph().as_default(), pytest.raises(InputError, match="unknown loss weighting 'gradnrm'.*mean gradnorm"):
        rows = tf.zeros([2, 2])
        factory.total_loss([{"name": "contrastive"}], factory.Outputs(rows, rows, {}, [rows]),
                           {"label": tf.constant([0, 1])}, factory.Columns({}, {}), {"name": "gradnrm"})
