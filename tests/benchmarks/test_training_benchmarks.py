import argparse

import loss_stability
import numpy as np
import pytest
import training_speed

FLAGS = {"steps": 3, "rates": [1e-3], "optimizer": "sgd", "clip_norm": 0.0}


def test_a_loss_that_breaks_is_found(monkeypatch):
    """The first step that gives no finite number is named; the same loss without the fault stays finite."""
    flags = argparse.Namespace(**FLAGS)
    spec = {"name": "softmax", "label": "label"}
    (cell,) = loss_stability.run(spec, flags)
    assert cell.startswith("ok ") and 0 < float(cell[3:]) < 10
    images, labels = loss_stability.toy_images()
    images[9] = np.nan
    broken = next(step for step, rows in enumerate(loss_stability.toy_batches(labels, 3), start=1) if 9 in rows)
    monkeypatch.setattr(loss_stability, "toy_images", lambda: (images, labels))
    (cell,) = loss_stability.run(spec, flags)
    assert cell in ("NaN at {}".format(broken), "not finite at {}".format(broken))  # a ReLU may hide it from the loss


def test_both_loops_are_timed_on_the_same_number_of_steps():
    flags = argparse.Namespace(network="small_cnn", size=12, batch=8, steps=4, warmup=10, repeats=1,
                               devices=[], precision="float32", variables="auto", workers=2)
    options = training_speed.training_options(2, flags)
    assert options["training"]["steps"] == 14 and options["training"]["num_clones"] == 2
    row = training_speed.measure(2, flags)
    assert row["towers"] == 2 and row["ratio"] == pytest.approx(row["ours"] / row["bare"], rel=0.01)
    assert min(row.values()) > 0
