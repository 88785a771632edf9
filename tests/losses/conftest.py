"""What the tests of the losses share: running a loss, random batches, distances by loops, central differences."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf


@pytest.fixture(scope="session")
def run_loss():
    sessions = {}

    def run(function, values, labels, dtype=np.float32, **options):
        """Return (loss, {name: number}, gradient of the loss by `values`), built with an unknown batch size."""
        key = (function, dtype, tuple(sorted(options.items())))
        if key not in sessions:  # one graph per loss and options: building them is what takes the time
            sessions[key] = _build(function, dtype, options)
        session, (fed, fed_labels), fetches = sessions[key]
        return session.run(fetches, {fed: np.asarray(values, dtype), fed_labels: np.asarray(labels, np.int32)})
    yield run
    for session, _, _ in sessions.values():
        session.close()


def _build(function, dtype, options):
    with tf.Graph().as_default() as graph:
        fed, fed_labels = tf.placeholder(dtype, [None, None]), tf.placeholder(tf.int32, [None])
        loss, scalars = function(fed, fed_labels, **options)
        assert loss.shape.as_list() == [] and all(s.shape.as_list() == [] for s in scalars.values())
        gradient, = tf.gradients(loss, fed)
    return tf.Session(graph=graph), (fed, fed_labels), [loss, scalars, gradient]


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
