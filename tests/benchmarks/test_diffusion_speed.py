import csv

import diffusion_speed
import numpy as np
import pytest


def test_the_graph_has_the_edges_that_are_said():
    matrix = diffusion_speed.class_graph(1000)
    assert abs(matrix - matrix.T).max() == 0 and matrix.diagonal().max() == 0
    assert 14 < matrix.nnz / 1000 < 16.1  # 8 ends of its own and 8 of others, less what coincides
    assert np.abs(np.linalg.eigvalsh(matrix.toarray())).max() < 1 + 1e-5


def test_the_exponent_of_times_that_grow_with_the_square_is_two():
    assert diffusion_speed.exponent({"n": 10, "solve": 0.5}, {"n": 1000, "solve": 5000}) == pytest.approx(2)


def test_the_command_writes_a_row_for_each_size(tmp_path, capsys):
    diffusion_speed.main(["--sizes", "300", "1500", "--columns", "5", "--repeats", "1", "--output",
                          str(tmp_path / "out.csv")])
    with open(str(tmp_path / "out.csv")) as stream:
        rows = list(csv.DictReader(stream))
    assert [row["n"] for row in rows] == ["300", "1500"] and list(rows[0]) == diffusion_speed.COLUMNS
    assert all(float(row["solve"]) > 0 for row in rows)
    assert "solver's exponent from 300 to 1,500" in capsys.readouterr().out


def test_a_stored_graph_is_measured(tmp_path):
    ids = np.array([[1, 2], [0, 2], [3, 0], [2, 1]], np.int32)  # 0-1 and 2-3 are mutual, and 0-2
    np.save(str(tmp_path / "ids.npy"), ids)
    np.save(str(tmp_path / "similarities.npy"), np.ones((4, 2), np.float32))
    matrix = diffusion_speed.stored_graph(str(tmp_path)).toarray()
    degree = np.array([2, 1, 2, 1])
    joined = np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]])
    np.testing.assert_allclose(matrix, joined / np.sqrt(np.outer(degree, degree)), atol=1e-6)
    output = str(tmp_path / "d.csv")
    diffusion_speed.main(["--graphs", str(tmp_path), "--columns", "3", "--repeats", "1", "--output", output])
    with open(output) as stream:
        assert stream.read().splitlines()[1].startswith("stored,4,3,6,")
