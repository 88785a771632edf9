"""What the tests of the losses share: running a loss, random batches, distances by loops, central differences."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf


@pytest.fixture(scope="session")
def run_loss():
    sessions = {}

    def run(function, values, labels, dtype=np.float32, variables=None, **options):
        """Return (loss, {name: number}, gradient of the loss by `values`), built with an unknown batch size.

        `variables` are the values of the loss's own variables; their gradients are then the fourth value, as a dict.
        """
        width = np.shape(values)[1]
        key = (function, dtype, width, tuple(sorted(options.items(), key=lambda pair: pair[0])))
        if key not in sessions:  # one graph per loss and options: building them is what takes the time
            sessions[key] = _build(function, dtype, width, options)
        session, (fed, fed_labels), fetches, own = sessions[key]
        assert sorted(own) == sorted(variables or {})
        for name, value in (variables or {}).items():
            own[name].load(np.asarray(value), session)
        found = session.run(fetches, {fed: np.asarray(values, dtype), fed_labels: np.asarray(labels, np.int32)})
        return found if variables else found[:3]
    yield run
    for session, _, _, _ in sessions.values():
        session.close()


def _build(function, dtype, width, options):
    with tf.Graph().as_default() as graph:
        fed, fed_labels = tf.placeholder(dtype, [None, width]), tf.placeholder(tf.int32, [None])
        loss, scalars = function(fed, fed_labels, **options)
        assert loss.shape.as_list() == [] and all(s.shape.as_list() == [] for s in scalars.values())
        own = {v.op.name: v for v in tf.trainable_variables()}
        gradients = dict(zip(sorted(own), tf.gradients(loss, [own[name] for name in sorted(own)])))
        gradient, = tf.gradients(loss, fed)
        gradients = {name: tf.convert_to_tensor(value) for name, value in gradients.items()}
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())
    return session, (fed, fed_labels), [loss, scalars, gradient, gradients], own


@pytest.fixture
def equals_loops(run_loss, random_batch, central_differences):
    def check(function, loop, seeds=(0, 1, 2), **options):
        """Assert that a loss is what `loop(rows, labels)` says, and its gradient the loop's by differences."""
        for seed in seeds:
            rows, labels = random_batch(seed)
            loss, _, gradient = run_loss(function, rows, labels, dtype=np.float64, **options)
            assert loss == pytest.approx(loop(rows, labels), rel=1e-6) and abs(loss) > 1e-6
        expected = central_differences(lambda x: loop(x, labels), rows)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * max(1, np.abs(expected).max()))
    return check


@pytest.fixture
def equals_loops_with_vectors(run_loss, random_batch, central_differences):
    def check(function, loop, name, shape, seeds=(0, 1, 2), **options):
        """As `equals_loops`, for a loss with a variable: `loop(rows, labels, vectors)`; both gradients are compared."""
        for seed in seeds:
            rows, labels = random_batch(seed)
            vectors = np.random.RandomState(seed + 100).randn(*shape)
            loss, _, gradient, others = run_loss(function, rows, labels, dtype=np.float64, variables={name: vectors},
                                                 num_classes=shape[0], **options)
            assert loss == pytest.approx(loop(rows, labels, vectors), rel=1e-6)
        for found, expected in ((gradient, central_differences(lambda x: loop(x, labels, vectors), rows)),
                                (others[name], central_differences(lambda w: loop(rows, labels, w), vectors))):
            assert np.abs(expected).max() > 1e-3
            np.testing.assert_allclose(found, expected, atol=1e-6 * max(1, np.abs(expected).max()))
    return check


@pytest.fixture
def unit():
    def unit(vectors):
        """Return vectors over their length, with the epsilon of class_vectors.py."""
        return vectors / np.sqrt(np.sum(np.square(vectors), -1, keepdims=True) + 1e-6)
    return unit


@pytest.fixture
def random_batch():
    def batch(seed, size=12, width=5, classes=4):
        """Return (float64 [size, width] unit rows, labels); some classes may have one image."""
        random = np.random.RandomState(seed)
        rows = random.randn(size, width)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True), random.randint(0, classes, size)
    return batch


@pytest.fixture
def loop_distance():
    def distance(x, y, kind):
        """Return the distance of two vectors, written without the product trick of the code."""
        squared = sum((a - b) ** 2 for a, b in zip(x, y))
        return {"squared": squared, "euclidean": squared ** 0.5, "cosine": 1 - sum(a * b for a, b in zip(x, y))}[kind]
    return distance


@pytest.fixture
def central_differences():
    def gradient(function, x, step=1e-6):
        """Return the gradient of a scalar function of a float64 array by central differences."""
        result = np.zeros_like(x)
        for index in np.ndindex(*x.shape):
            up, down = x.copy(), x.copy()
            up[index] += step
            down[index] -= step
            result[index] = (function(up) - function(down)) / (2 * step)
        return result
    return gradient


@pytest.fixture
def degenerate_batches(random_batch):
    """Return {what: (embeddings, labels)} of batches without any valid triplet, some with duplicates."""
    rows, _ = random_batch(0, size=6)
    return {
        "one class": (rows, [3] * 6),
        "one class, all alike": (np.repeat(rows[:1], 6, axis=0), [3] * 6),
        "all singletons": (rows, [0, 1, 2, 3, 4, 5]),
        "all singletons, all alike": (np.repeat(rows[:1], 6, axis=0), [0, 1, 2, 3, 4, 5]),
        "batch of 1": (rows[:1], [7]),
        "one pair of one class": (rows[:2], [7, 7]),
        "one pair of two classes": (rows[:2], [7, 8]),
    }
