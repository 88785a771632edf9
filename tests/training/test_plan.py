"""Epochs as steps of the global batch, and a rate that dies before the end."""
import dataclasses

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.training import plan


def training(schedule=(), **options):
    found = dict(dataclasses.asdict(TrainingConfig()), **options)
    found["schedule"].update(schedule)
    return found


def test_epochs_become_steps_of_the_global_batch():
    # 1,000 images, 8 x 4 = 32 a step: 31.25 steps an epoch.
    options = training({"decay_epochs": 10.0, "warmup_epochs": 0.1, "boundary_epochs": [1.0, 2.5]}, epochs=30.0,
                       classes_per_batch=8, images_per_class=4)
    expected = {"steps": 938, "schedule.decay_steps": 312, "schedule.warmup_steps": 3, "schedule.boundaries": [31, 78]}
    assert plan.in_steps(options, 1000) == expected
    assert plan.in_steps(dict(options, num_clones=4), 1000) == expected
    assert plan.in_steps(training({"warmup_epochs": 1e-6}), 1000) == {"schedule.warmup_steps": 1}
    assert plan.in_steps(training(), 1000) == {}


def test_steps_beside_epochs_must_agree():
    options = training({"decay_epochs": 10.0, "decay_steps": 312}, classes_per_batch=8, images_per_class=4)
    assert plan.in_steps(options, 1000) == {"schedule.decay_steps": 312}
    with pytest.raises(InputError, match="training.schedule.decay_epochs = 10.0 is 281 steps here, but "
                                         "training.schedule.decay_steps is 312; leave one of them out"):
        plan.in_steps(options, 900)


@pytest.mark.parametrize("schedule, dead", [
    ({"name": "fixed"}, None),
    ({"name": "fixed", "learning_rate": 0.0}, 0),
    ({"name": "cosine", "decay_steps": 500}, None),
    ({"name": "cosine", "decay_steps": 499}, 499),
    ({"name": "cosine", "decay_steps": 100, "warmup_steps": 40}, 140),
    ({"name": "cosine", "decay_steps": 100, "alpha": 0.01}, None),
    ({"name": "polynomial", "decay_steps": 7}, 7),
    ({"name": "piecewise", "boundaries": [9], "values": [0.1, 0.0]}, 10),
    ({"name": "exponential", "decay_steps": 100}, None)])
def test_a_schedule_that_dies_is_found(schedule, dead, caplog):
    options = training(schedule, steps=500)
    assert plan.warn_of_dead_schedule(options) == dead
    assert [m.startswith("the learning rate is 0 from step {} on".format(dead)) for m in caplog.messages] == \
        [True] * (dead is not None)
    if dead:
        assert "the last {} of 500 steps would change nothing".format(500 - dead) in caplog.messages[0]


def test_what_cannot_be_built_is_refused():
    plan.check(training({"name": "one_cycle", "cycle_momentum": 0.85}, optimizer="rmsprop"))
    with pytest.raises(InputError, match="adam has no momentum; those that have one: momentum, rmsprop"):
        plan.check(training({"name": "one_cycle", "cycle_momentum": 0.85}, optimizer="adam"))
    with pytest.raises(InputError, match="unknown optimizer 'adma'.*adam"):
        plan.check(training(optimizer="adma"))
    with pytest.raises(InputError, match="unknown schedule 'cos'"):
        plan.check(training({"name": "cos"}))
