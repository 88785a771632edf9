import csv
import os

import index_speed

from slim_retrieval.graph import index_lists


def test_each_size_gives_a_row_for_each_method(tmp_path, monkeypatch):
    monkeypatch.setattr(index_lists, "LARGE", 0)
    index_speed.main(["--sizes", "60", "200", "--dimensions", "16", "--folder", str(tmp_path),
                      "--methods", "none", "level", "cfa", "moved", "--output", str(tmp_path / "o.csv")])
    with open(str(tmp_path / "o.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["n"], row["method"]) for row in rows] == [
        (n, method) for n in ("60", "200") for method in ("none", "level", "cfa", "moved")]
    # float32: signatures of width n, and with features of width 16 beside them, and the features (perhaps centred);
    # beside them, what is searched once more, in lists: the augmented gallery and the features
    for row in rows[2::4]:
        n = int(row["n"])
        assert float(row["megabytes"]) * 1e6 > n * (3 * n + 4 * 16) * 4
    assert all(float(row["query_ms"]) > 0 and float(row["exact_ms"]) > 0 for row in rows)
    assert all(float(row["recall"]) > 0.9 for row in rows)
    assert os.listdir(str(tmp_path)) == ["o.csv"]
