import csv

import extraction_speed
import numpy as np
import pytest


def test_the_least_cosine():
    rows = np.array([[1.0, 0.0], [3.0, 4.0]])
    assert extraction_speed.cosine(rows, np.array([[2.0, 0.0], [4.0, 3.0]])) == "0.960000"  # 24 / 25
    assert extraction_speed.cosine(rows, None) == ""


def test_the_command_compares_extraction_with_its_ceiling(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(extraction_speed, "SIDE", 16)
    monkeypatch.setattr(extraction_speed, "ELSEWHERE", [])
    extraction_speed.main(["--networks", "small_cnn", "--images", "5", "--batch", "2", "--repeats", "1", "--photo",
                          "40", "60", "--output", str(tmp_path / "out.csv")])
    with open(str(tmp_path / "out.csv")) as stream:
        rows = {row["contestant"]: row for row in csv.DictReader(stream)}
    assert list(rows)[:5] == ["ceiling", "ours", "ours draft", "decode", "decode draft"]
    assert float(rows["ceiling"]["of_ceiling"]) == 1 and rows["decode"]["cosine"] == ""
    # The same features, whether the images came from memory or from files.
    assert float(rows["ours"]["cosine"]) == pytest.approx(1, abs=1e-6)
    assert all(float(row["images_per_second"]) > 0 for row in rows.values())
    assert "of processor to compute" in capsys.readouterr().out
