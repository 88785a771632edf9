import csv

import growth_speed
import pytest

from slim_retrieval.graph import signatures


def test_a_row_for_each_change_with_an_error_below_the_one_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(signatures, "EXACT_NODES", 100)
    monkeypatch.setattr(signatures, "WIDTH", 32)
    monkeypatch.setattr(growth_speed, "DEPTH", 100)
    growth_speed.main(["--sizes", "500", "--dimensions", "16", "--updates", "3", "--output", str(tmp_path / "o.csv")])
    with open(str(tmp_path / "o.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["change"] for row in rows] == [
        "add 1", "delete 1", "add 5", "delete 5", "add 100", "delete 100", "3 x 1+1"]
    for row in rows:
        assert 0 < float(row["error"]) <= float(row["stated"]) < 0.1
        assert float(row["mAP"]) == pytest.approx(float(row["mAP_anew"]), abs=0.1) and float(row["overlap"]) > 0.5
