"""The training of GFR's metric by a ranking loss."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_metric, gfr_metric_learning, gfr_metric_training, gfr_options, gfr_validation


def rows_and_labels(n=300, d=12, classes=30, seed=0):
    """Noise is heavy-tailed and mostly in half of the dimensions, so a start that hardly sees it can be improved."""
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    x = rng.normal(size=(classes, d))[labels] + np.where(np.arange(d) < 6, 2.0, 0.3) * rng.laplace(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def start(x, labels):
    return gfr_metric.discriminant(gfr_metric.moments(x, labels), 10.0)


@pytest.mark.parametrize("loss", ["batch", "rank", "class"])
def test_each_epoch_is_returned_and_the_train_classes_come_closer(loss):
    x, labels = rows_and_labels()
    options = gfr_options.resolve({"loss": loss, "margin": 0.3, "learning_rate": 0.01})
    first = start(x, labels)
    found = gfr_metric_training.refine(x, labels, np.arange(300), first, options, 4, seed=0)
    assert len(found) == 5 and found[0] is first
    scores = [gfr_validation.mean_average_precision(gfr_metric.apply(metric, x), labels) for metric in found]
    assert scores[4] > scores[0] + 0.02
    assert all(metric.mean is first.mean and metric.matrix.shape == (12, 12) for metric in found)


def test_rows_left_out_are_not_learned_from_and_seeds_decide(tmp_path):
    x, labels = rows_and_labels()
    np.save(str(tmp_path / "x.npy"), x)
    options, rows = gfr_options.resolve({}), np.flatnonzero(labels < 20)
    changed = np.where((labels < 20)[:, None], x, np.nan)
    run = lambda data, seed: gfr_metric_training.refine(  # noqa: E731
        data, labels, rows, start(x, labels), options, 1, seed)[-1].matrix
    matrix = run(np.load(str(tmp_path / "x.npy"), mmap_mode="r"), 0)
    np.testing.assert_array_equal(run(changed, 0), matrix)
    assert np.abs(run(x, 1) - matrix).max() > 1e-4


def test_a_loss_that_diverges_is_refused():
    x, labels = rows_and_labels()
    with pytest.raises(InputError, match="became nan in epoch 1 of 2"):
        gfr_metric_training.refine(np.full_like(x, np.nan), labels, np.arange(300), start(x, labels),
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
