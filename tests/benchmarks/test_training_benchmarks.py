import argparse

import loss_stability
import numpy as np
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


def test_both_loops_are_timed_on_the_same_number_of_steps(monkeypatch):
    """A clock that each step of either loop advances by 2 and 3 s tells the ratio; what lies between does not count."""
    flags = argparse.Namespace(network="small_cnn", size=12, batch=8, steps=4, warmup=10, repeats=2,
                               devices=[], precision="float32", variables="auto", workers=2)
    options = training_speed.training_options(2, flags)
    assert options["training"]["steps"] == 10 + 2 * (5 + 4) + 1 and options["training"]["num_clones"] == 2
    now, run = [0.0], training_speed.tf.Session.run

    def counted(session, fetches, *args, **kwargs):
        now[0] += 2 if getattr(fetches, "type", "") == "NoOp" else 3  # the train op alone, or loss and train op
        return run(session, fetches, *args, **kwargs)
    monkeypatch.setattr(training_speed.tf.Session, "run", counted)
    monkeypatch.setattr(training_speed, "clocks", lambda: (now[0], 10 * now[0]))
    row = training_speed.measure(2, flags)
    assert row == {"towers": 2, "ours": 2.67, "bare": 4.0, "ratio": 0.6667, "ratio_low": 0.6667, "ratio_high": 0.6667,
                   "ours_cpu": 0.27, "bare_cpu": 0.4, "ratio_cpu": 0.6667}
