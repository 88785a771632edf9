import cells
import csv_rows
import galleries
import pytest

from slim_retrieval.common.errors import InputError


@pytest.mark.parametrize("text", ["0", "a", "10-", "-3", "1.5", "10,20"])
def test_what_is_no_number_of_cells_is_refused(text):
    with pytest.raises(InputError, match="not a number of cells"):
        cells.counted(text)


def test_a_row_for_each_cutting_with_one_graph(tmp_path, monkeypatch):
    monkeypatch.setattr(galleries, "QUERIES", 30)
    cells.main(["--folder", str(tmp_path), "--sizes", "200", "--dimensions", "8", "--cells", "4-2", "201", "--output",
                str(tmp_path / "c.csv")])
    row, = csv_rows.read(str(tmp_path / "c.csv"))  # 201 cells are more than images
    assert row["cells"] == "4-2" and 0 < float(row["mAP"]) <= 1 and row["recall"] == "1.0"
    from slim_retrieval.common import files
    record = files.read_json(str(tmp_path / "cells-generator-200x8" / "cfa.json"))
    assert [level["cells"] for level in record["parameters"]["levels"]] == [4, 2] and record["graph_reused"]
