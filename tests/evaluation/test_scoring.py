import json

import numpy as np
import pytest

from slim_retrieval.common import config as configuration
from slim_retrieval.evaluation import scoring, significance
from slim_retrieval.evaluation.ground_truth import Index, Setting, classes
from slim_retrieval.evaluation.relevance import from_lists

TRUTH = classes(Index(["q1", "q2", "q3"], ["a", "b", "b"]), Index(["x", "y", "z"], ["a", "a", "b"]))
RANKINGS = {"none": [[2, 0, 1], [0, 1, 2], [2, 0, 1]], "cfa": [[0, 2, 1], [2, 1, 0], [2, 0, 1]]}
APS = {"none": [(1 / 2 + 2 / 3) / 2, 1 / 3, 1], "cfa": [(1 + 2 / 3) / 2, 1, 1]}


def settings(**overrides):
    return configuration.resolve(None, {"evaluation." + key: text for key, text in overrides.items()}).evaluation


def evaluate(tmp_path, name, truth=TRUTH, seed=3, **overrides):
    np.save(str(tmp_path / (name + ".npy")), np.array(RANKINGS[name]))
    return scoring.evaluate(str(tmp_path / (name + ".npy")), truth, settings(**overrides), {"seconds": 2.5}, seed)[1]


def test_one_method(tmp_path):
    result = evaluate(tmp_path, "cfa", metrics="[mAP, CMC@2]", recall_at="[3]")
    np.testing.assert_allclose(result["average_precision"], APS["cfa"])
    assert result["mAP_interval"] == significance.interval(APS["cfa"], 3)
    assert (result["name"], result["ap"], result["seconds"], result["k"], result["num_gallery"]) == (
        "cfa", "step", 2.5, 3, 3)
    assert result["cmc_at_2"] == 1 and result["recall_at_1"] == 1 and "recall_at_3" in result
    assert (result["settings"], result["positives"], result["protocol"]) == ({}, "same label", "classes")


def test_the_protocols_ap_unless_another_is_asked_for(tmp_path):
    truth = TRUTH._replace(ap="trapezoid", metrics=("mAP", "mP@2"))
    assert evaluate(tmp_path, "none", truth)["ap"] == "trapezoid"
    assert evaluate(tmp_path, "none", truth, ap="step")["ap"] == "step"
    assert "mP_at_2" in evaluate(tmp_path, "none", truth) and "mP_at_2" not in evaluate(
        tmp_path, "none", truth, metrics="[mAP]")


def test_settings_and_parts_of_the_queries(tmp_path):
    other = from_lists([[2], [0], [0]], None, 3)
    part = from_lists([[2], [2]], None, 3)
    truth = TRUTH._replace(settings={"other": Setting(other), "last": Setting(part, np.array([1, 2]))})
    result = evaluate(tmp_path, "none", truth)
    np.testing.assert_allclose(result["settings"]["other"]["average_precision"], [1, 1, 1 / 2])
    np.testing.assert_allclose(result["settings"]["last"]["average_precision"], [1 / 3, 1])
    assert result["settings"]["last"]["num_queries"] == 2
    np.testing.assert_allclose(result["average_precision"], APS["none"])


def test_methods_are_compared_with_none(tmp_path):
    truth = TRUTH._replace(settings={"all": Setting(TRUTH.relevance)})
    results = {name: evaluate(tmp_path, name, truth) for name in RANKINGS}
    scoring.compare(results, 3)
    expected = significance.paired(results["cfa"]["average_precision"], results["none"]["average_precision"], 3)
    assert results["cfa"]["against_none"] == expected
    assert results["cfa"]["settings"]["all"]["against_none"] == results["cfa"]["against_none"]
    assert expected["difference"] == pytest.approx(np.mean(APS["cfa"]) - np.mean(APS["none"]))
    assert results["none"]["against_none"] is None and results["none"]["settings"]["all"]["against_none"] is None
    alone = {"cfa": results["cfa"]}
    scoring.compare(alone)
    assert alone["cfa"]["against_none"] is None


def test_what_is_written(tmp_path):
    truth = TRUTH._replace(settings={"all": Setting(TRUTH.relevance)})
    result = evaluate(tmp_path, "none", truth)
    scoring.write(str(tmp_path / "out" / "r.json"), result, "three queries")
    kept = json.loads((tmp_path / "out" / "r.json").read_text())
    assert kept["caption"] == "three queries" and kept["mAP"] == result["mAP"]
    assert kept["mAP_interval"] == result["mAP_interval"] and kept["settings"]["all"]["mAP"] == result["mAP"]
    assert "average_precision" not in kept and "average_precision" not in kept["settings"]["all"]
    assert "average_precision" in result


def test_names_and_what_lies_beside(tmp_path):
    assert scoring.name_of("a/b.npy") == "b" and scoring.name_of("a/lists/") == "lists"
    (tmp_path / "r.json").write_text("{}")
    assert scoring.read_about(str(tmp_path / "r.npy")) == {}
    assert scoring.read_about(str(tmp_path / "r.json")) is None  # the ranking itself
    assert scoring.read_about(str(tmp_path / "s.npy")) is None
