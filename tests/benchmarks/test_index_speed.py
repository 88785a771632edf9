import csv
import os

import index_speed


def test_each_size_gives_a_row_for_each_method(tmp_path):
    index_speed.main(["--sizes", "60", "80", "--dimensions", "16", "--output", str(tmp_path / "o.csv")])
    with open(str(tmp_path / "o.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["n"], row["method"]) for row in rows] == [
        ("60", "none"), ("60", "cfa"), ("80", "none"), ("80", "cfa")]
    # float32: signatures of width n, and with features of width 16 beside them, and the features (perhaps centred)
    for row in rows[1::2]:
        n = int(row["n"])
        assert float(row["megabytes"]) * 1e6 > n * (2 * n + 2 * 16) * 4 and float(row["query_ms"]) > 0
    assert os.listdir(str(tmp_path)) == ["o.csv"]
