import csv_rows
import pytest

from slim_retrieval.common.errors import InputError


def test_rows_are_kept_and_those_with_a_note_are_tried_again(tmp_path):
    path, calls = str(tmp_path / "t.csv"), []

    def measure(key, rows):
        calls.append((key["n"], len(rows)))
        return {"note": "left out"} if key["n"] == 20 and len(calls) < 3 else {"seconds": 2 * key["n"]}

    columns = ["n", "seconds", "note", "machine"]
    csv_rows.fill(path, columns, [{"n": 10}, {"n": 20}], measure)
    assert [(row["seconds"], row["note"]) for row in csv_rows.read(path)] == [("20", ""), ("", "left out")]
    csv_rows.fill(path, columns, [{"n": 10}, {"n": 20}], measure)
    assert calls == [(10, 0), (20, 1), (20, 2)]
    rows = csv_rows.read(path)
    assert [row["seconds"] for row in rows] == ["20", "40"] and rows[1]["note"] == "" and "thread" in rows[0]["machine"]


def test_the_csv_of_another_benchmark_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("n,colour\n1,red\n")
    with pytest.raises(InputError, match="has the columns n, colour and not n, seconds"):
        csv_rows.fill(str(tmp_path / "t.csv"), ["n", "seconds"], [], None)
