"""Validation while training: held-out classes, which images, metrics against a loop, the CSV across resumes."""
import csv
import dataclasses
import logging
from collections import Counter

import numpy as np
import pytest

from slim_retrieval.common.data_schema import DataConfig
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.datasets.table import ImageTable
from slim_retrieval.training import validation

LABELS = ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"] * 4 + ["", "e"]


def table(labels=LABELS):
    return ImageTable(["{}.png".format(i) for i in range(len(labels))], {"label": labels}, lambda i: None)


def options(source="", **training):
    data = dataclasses.asdict(DataConfig())
    data["validation"]["source"] = source
    return {"data": data, "training": dict(dataclasses.asdict(TrainingConfig()), **training)}


def test_classes_are_held_out_whole():
    for seed in range(5):
        kept, held = validation.hold_out(table(), "label", 0.4, seed)
        assert sorted(kept.paths + held.paths) == sorted(table().paths)
        assert len(set(held.columns["label"])) == 2 and "" in kept.columns["label"]
        assert not set(held.columns["label"]) & set(kept.columns["label"])
    chosen = {tuple(sorted(set(validation.hold_out(table(), "label", 0.4, seed)[1].columns["label"])))
              for seed in range(20)}
    assert len(chosen) > 3  # the seed decides
    again = [validation.hold_out(table(), "label", 0.4, 3)[1].paths for _ in range(2)]
    assert again[0] == again[1]


def test_nothing_is_held_out_by_default():
    whole = table()
    assert validation.hold_out(whole, "label", 0.0, 0) == (whole, None)


def test_too_few_classes_are_refused_with_both_numbers():
    with pytest.raises(InputError, match="0.9 of 5 classes, which leaves 1 to train on"):
        validation.hold_out(table(), "label", 0.9, 0)
    with pytest.raises(InputError, match="no label column 'colour'"):
        validation.hold_out(table(), "colour", 0.5, 0)


def test_images_are_chosen_evenly_from_the_classes():
    random = np.random.RandomState(0)
    ids = np.concatenate([np.repeat(np.arange(10), 60), np.full(7, -1), [10, 11]])  # two classes of one image
    random.shuffle(ids)
    rows = validation.choose(ids, 200, 0)
    assert list(rows) == sorted(set(rows)) and Counter(ids[rows]) == dict.fromkeys(range(10), 20)
    assert len(validation.choose(ids, 0, 0)) == len(validation.choose(ids, 600, 0)) == 600
    many = np.repeat(np.arange(100), 6)
    assert Counter(Counter(many[validation.choose(many, 80, 1)]).values()) == {4: 20}  # 20 classes of four images
    assert not len(validation.choose(np.array([0, 1, -1, -1]), 100, 0))


def test_both_sources_are_refused_and_none_is_fine():
    with pytest.raises(InputError, match="validation_classes is 0.5 and data.validation.source is 'here'"):
        validation.validation_table(options("here", validation_classes=0.5), "label", table(), 0)
    assert validation.validation_table(options(), "label", None, 0) is None
    assert validation.validation_table(options(validate_every_steps=0), "label", table(), 0) is None
    assert len(validation.validation_table(options(), "label", table(), 0)) == 14


def test_images_that_have_no_match_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert validation.validation_table(options(), "label", table(["a", "b", ""]), 0) is None
        assert validation.validation_table(options(), "colour", table(), 0) is None
    assert "none of its 3 images shares its label with another" in caplog.text
    assert "have no column 'colour'" in caplog.text


def test_lines_that_a_killed_run_did_not_save_go(tmp_path, monkeypatch):
    path, whole = str(tmp_path / "validation.csv"), table()
    found = iter([np.eye(3), np.eye(3), np.full((3, 3), np.nan), np.eye(3)])
    monkeypatch.setattr(validation, "embed", lambda *_, **__: (np.array([0, 1, 5]), next(found)))
    seen = []

    def measure(features, paths, labels):
        seen.append((paths, labels))
        return {"mAP": 0.5, "recall_at_1": 0.25, "num_queries": len(features), "more": 1}
    held = validation.HeldOut(whole, "label", measure)

    def lines():
        with open(path) as stream:
            return [(int(line["step"]), float(line["mAP"])) for line in csv.DictReader(stream)]
    one = validation.Validation(None, held, path, 0)
    for step in (10, 20, 30):
        one.run(None, step)
    assert [step for step, _ in lines()] == [10, 20, 30] and np.isnan(lines()[2][1])  # NaN features have no metric
    validation.Validation(None, held, path, 20).run(None, 40)
    assert lines() == [(10, 0.5), (20, 0.5), (40, 0.5)]
    assert seen == [(["0.png", "1.png", "5.png"], ["a", "a", "b"])] * 3
