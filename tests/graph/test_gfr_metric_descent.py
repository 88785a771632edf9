"""The training of GFR's metric by a ranking loss; its losses have tests of their own."""
import types

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import (
    gfr_losses,
    gfr_metric,
    gfr_metric_descent,
    gfr_metric_learning,
    gfr_options,
    gfr_validation,
)


def rows_and_labels(n=300, d=12, classes=30, seed=0):
    """Noise is heavy-tailed and mostly in half of the dimensions, so a start that hardly sees it can be improved."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    x = rng.normal(size=(classes, d))[labels] + np.where(np.arange(d) < 6, 2.0, 0.3) * rng.laplace(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def start(x, labels):
    return gfr_metric.discriminant(gfr_metric.moments(*gfr_metric.sums(x, labels)), 10.0)


@pytest.mark.parametrize("loss", ["batch", "rank", "class", "classRank", "classBatch"])
def test_each_epoch_is_returned_and_the_train_classes_come_closer(loss):
    x, labels = rows_and_labels()
    options = gfr_options.resolve({"loss": loss, "margin": 0.3, "learning_rate": 0.01})
    first = start(x, labels)
    found = gfr_metric_descent.refine(x, labels, np.arange(300), first, options, 4, seed=0)
    assert len(found) == 5 and found[0] is first
    scores = [gfr_validation.mean_average_precision(gfr_metric.apply(metric, x), labels) for metric in found]
    assert scores[4] > scores[0] + 0.02
    assert all(metric.mean is first.mean and metric.matrix.shape == (12, 12) for metric in found)


def test_rows_left_out_are_not_learned_from_and_seeds_decide(tmp_path):
    x, labels = rows_and_labels()
    np.save(str(tmp_path / "x.npy"), x)
    options, rows = gfr_options.resolve({}), np.flatnonzero(labels < 20)
    changed = np.where((labels < 20)[:, None], x, np.nan)
    run = lambda data, seed: gfr_metric_descent.refine(  # noqa: E731
        data, labels, rows, start(x, labels), options, 1, seed)[-1].matrix
    matrix = run(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), 0)
    np.testing.assert_array_equal(run(changed, 0), matrix)
    assert np.abs(run(x, 1) - matrix).max() > 1e-4


def test_a_loss_that_diverges_is_refused():
    x, labels = rows_and_labels()
    with pytest.raises(InputError, match="became nan in epoch 1 of 2"):
        gfr_metric_descent.refine(np.full_like(x, np.nan), labels, np.arange(300), start(x, labels),
                                   gfr_options.resolve({}), 2, seed=0)


def test_as_many_epochs_as_help_on_held_out_classes():
    x, labels = rows_and_labels()
    options = gfr_options.resolve({"epochs": 3, "learning_rate": 0.01})
    found = gfr_metric_learning.learn(x, labels, options, seed=0)
    path = found.report["metric_by_epoch"]
    assert len(path) == 4 and path[found.report["metric_epochs"]] == max(path)
    assert found.report["metric"] == pytest.approx(max(path), abs=1e-4)
    for (h, of), _ in zip(found.galleries, range(2)):
        assert h.shape == (len(of), 12)


@pytest.mark.parametrize("loss", sorted(gfr_losses.LOSSES))
def test_gradients_of_the_matrix_are_differences_of_the_loss(loss):
    """Central differences in float64; rows of the batch are not of unit length, so normalising counts."""
    rng = np.random.RandomState(0)
    function, roles, classifies = gfr_losses.LOSSES[loss]
    x, matrix, head = rng.normal(size=(roles * 6, 5)), rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    labels = np.tile(np.arange(6) % 3, roles)
    labels[12:] = (labels[12:] + 1) % 3
    drawn = gfr_losses.Drawn(labels, np.array([1, 1, 0, 1, 1, 1.0]))
    options = types.SimpleNamespace(margin=0.3, omega=0.4)
    call = lambda: gfr_metric_descent.gradients(x, matrix, head, function, drawn, options)  # noqa: E731
    slopes = call()[1]
    assert len(slopes) == 1 + classifies
    for weights, slope in zip([matrix, head], slopes):
        for place in [(0, 0), (1, 2), (4, 1)]:
            values = []
            for step in (1e-5, -2e-5):
                weights[place] += step
                values.append(call()[0])
            weights[place] += 1e-5
            assert slope[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def test_a_row_without_length_has_no_gradient():
    x, matrix = np.zeros((4, 3), np.float32), np.eye(3, dtype=np.float32)
    x[1:] = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    drawn = gfr_losses.Drawn(np.array([0, 1, 0, 1]), np.ones(2))
    slope = gfr_metric_descent.gradients(x, matrix, None, gfr_losses.batch, drawn, None)[1][0]
    assert np.isfinite(slope).all() and np.abs(slope).max() < 100


def test_adam_by_hand():
    """Two steps on loss = 3 x, decay through the scaling; an array is changed in place."""
    weight, options = np.array([2.0], np.float32), types.SimpleNamespace(learning_rate=0.01, weight_decay=0.5)
    adam, expected, m, v = gfr_metric_descent.Adam([weight], options), 2.0, 0.0, 0.0
    for t in [1, 2]:
        adam.step([np.array([3.0], np.float32)])
        gradient = 3 + 0.5 * expected
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient ** 2
        expected -= 0.01 * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
        assert weight[0] == pytest.approx(expected, rel=1e-5)
