"""Each warning comes on a made case, once, with its cause, and none on a healthy run."""
import dataclasses
import logging

import pytest

from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.training.warnings import Warner, warn_of_split_groups

HEALTHY = {"embedding/mean_pair_distance": 1.2, "batch/with_positive": 1.0,
           "batch/with_negative": 1.0, "triplet/active_triplets": 0.01, "loss/triplet": 0.002}


def options(losses=("triplet",), **training):
    return {"losses": [{"name": name} if isinstance(name, str) else name for name in losses],
            "training": dict(dataclasses.asdict(TrainingConfig()),
                             **dict({"steps": 100, "classes_per_batch": 4, "images_per_class": 2}, **training))}


def lines(caplog, settings, *changes):
    """Return what is logged when the logged steps are HEALTHY with these changes."""
    warner = Warner(settings)
    with caplog.at_level(logging.WARNING):
        for step, change in enumerate(changes, start=1):
            warner.look(step, dict(HEALTHY, **change))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("change, patience, words", [
    ({"embedding/mean_pair_distance": 0.04}, 3, "embeddings have collapsed"),
    ({"batch/with_positive": 0.0}, 2, "no positive pair: training.images_per_class is 2; raise it, or look for empty"),
    ({"batch/with_negative": 0.0}, 2, "nothing is pushed apart: training.classes_per_batch is 4; raise it"),
    ({"triplet/active_triplets": 0.0}, 10, "no triplet or pair has cost anything for long in triplet:")])
def test_a_condition_that_lasts_is_said_once_with_its_cause(caplog, change, patience, words):
    assert not lines(caplog, options(), *[change] * (patience - 1) + [{}] + [change] * (patience - 1))
    found = lines(caplog, options(), {}, *[change] * 30)
    assert len(found) == 1 and found[0].startswith("step {}: ".format(1 + patience)) and words in found[0]
    assert "\n" not in found[0]


def test_several_are_said_each_once(caplog):
    change = {"batch/with_positive": 0.0, "embedding/mean_pair_distance": 0.0}
    assert len(lines(caplog, options(), *[change] * 20)) == 2


def test_towers_that_split_groups_are_named(caplog):
    change = {"batch/with_positive": 0.0, "batch/with_negative": 0.0}
    found = lines(caplog, options(num_clones=4), change, change)
    assert all("each tower sees its own slice alone; raise it, set training.loss_scope to global" in f for f in found)
    assert len(found) == 2
    caplog.clear()
    found = lines(caplog, options(num_clones=4, loss_scope="global"), change, change)
    assert len(found) == 2 and all("slice" not in line for line in found)


@pytest.mark.parametrize("losses", [["softmax"], ["proxy_anchor", "arcface"], [{"name": "contrastive", "memory": 9}]])
def test_losses_that_need_no_pairs_of_the_batch(caplog, losses):
    assert not lines(caplog, options(losses), *[{"batch/with_positive": 0.0, "batch/with_negative": 0.0}] * 3)


def test_a_sampler_that_draws_at_random_is_named(caplog):
    (found,) = lines(caplog, options(sampler="uniform"), *[{"batch/with_positive": 0.0}] * 2)
    assert "training.sampler is uniform; take training.sampler pk or larger batches, or look" in found


def test_what_still_costs_is_active(caplog):
    """Contrastive loss without close negatives still pulls; margin loss is active on either side."""
    changes = [{"contrastive/active_negatives": 0.0}, {"margin/active_negatives": 0.0, "margin/active_positives": 0.1}]
    for change in changes:
        assert not lines(caplog, options(), *[change] * 30)
    found = lines(caplog, options(), *[{"margin/active_negatives": 0.0, "margin/active_positives": 0.0}] * 30)
    assert len(found) == 1 and "in margin:" in found[0]


def test_look_gives_what_holds_now():
    warner = Warner(options())
    found = [warner.look(step, dict(HEALTHY, **{"embedding/mean_pair_distance": distance}))
             for step, distance in enumerate([0.0, 0.0, 0.0, 1.0, 0.0])]
    assert [sorted(one) for one in found] == [[], [], ["collapse"], [], []]


@pytest.mark.parametrize("towers, change, split", [
    (2, {}, False), (4, {}, False),  # 4 classes x 2 images
    (8, {}, True), (2, {"classes_per_batch": 3}, True), (1, {"classes_per_batch": 3}, False),
    (2, {"classes_per_batch": 3, "loss_scope": "global"}, False),
    (2, {"classes_per_batch": 3, "losses": ["softmax"]}, False),
    (2, {"classes_per_batch": 3, "sampler": "uniform"}, False),
    (2, {"classes_per_batch": 3, "sampler": "pairs"}, True)])
def test_towers_that_cut_groups(caplog, towers, change, split):
    with caplog.at_level(logging.WARNING):
        assert warn_of_split_groups(options(**change), towers) is split
    assert len(caplog.records) == split
    if split:
        assert "each of {} towers sees {} images".format(towers, 8 // towers if not change else 3) in caplog.text
