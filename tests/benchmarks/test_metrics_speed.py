"""The loops that the benchmark compares with say what the metrics say."""
import csv

import metrics_speed as benchmark
import pytest


@pytest.mark.parametrize("seed", range(5))
def test_all_three_agree(seed):
    given = benchmark.random_lists(7, 60, 4, 9, seed)
    found = [function(*given) for function in (benchmark.ours, benchmark.per_result, benchmark.per_query)]
    assert found == pytest.approx([found[0]] * 3, rel=1e-12) and 0.1 < found[0] < 0.9


def test_the_command_in_a_process_of_its_own(tmp_path):
    row = benchmark.measure_large(str(tmp_path), "small", 5, 30, num_images=60, of_class=10)
    # Five of the ten right images stand in front; how many more come in the next 25 places is up to chance.
    assert row[:4] == ["small", 5, 60, 30] and row[4] > 0 and row[5] > 0 and 0.5 <= row[6] <= 1


def test_a_csv_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark.random_lists, "__defaults__", (5, 40, 3, 4, 0))
    benchmark.main(["--part", "loops", "--output", str(tmp_path / "out.csv")])
    with open(str(tmp_path / "out.csv"), newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == benchmark.COLUMNS and [row[0] for row in rows[1:]] == ["ours", "per_result", "per_query"]
    assert len({round(float(row[-1]), 9) for row in rows[1:]}) == 1 and "times" in capsys.readouterr().out
