import json

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import ranking_files
from slim_retrieval.evaluation.ground_truth import Index, classes, listed

TRUTH = classes(Index(["q1", "q2"], ["a", "b"]), Index(["x.jpg", "y.jpg", "z.jpg"], ["a", "a", "b"]))
EXPECTED = [[2, 0, 1], [1, -1, -1]]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


@pytest.fixture(params=["npy", "lists", "json", "csv", "run"])
def ranking(request, tmp_path):
    """One ranking in each form."""
    if request.param == "npy":
        np.save(str(tmp_path / "r.npy"), np.array(EXPECTED))
        return str(tmp_path / "r.npy")
    if request.param == "lists":
        (tmp_path / "r").mkdir()
        write(tmp_path / "r" / "q1.ranked", "z.jpg\nx\ny.jpg\n")
        write(tmp_path / "r" / "q2.txt", "y\n\n")
        write(tmp_path / "r" / ".hidden", "")
        return str(tmp_path / "r")
    if request.param == "json":
        return write(tmp_path / "r.json", json.dumps({"q1": {"x": 0.5, "y": 0.1, "z": 0.9}, "q2": {"y": 0}}))
    if request.param == "csv":
        return write(tmp_path / "r.csv", "id,images\nq2,y\nq1,z x y\n")
    return write(tmp_path / "r.run", "q1 Q0 x 1 5 t\nq1 Q0 z 3 7.5 t\nq2\tQ0\ty\t1\t-1e3\tt\nq1 Q0 y 2 -1 t\n")


def test_all_forms_say_the_same(ranking):
    ranks, truth = ranking_files.read(ranking, TRUTH)
    assert np.asarray(ranks).tolist() == EXPECTED and truth is TRUTH


def test_arrays_and_runs_are_told_apart_by_content_where_the_name_does_not(tmp_path):
    np.save(str(tmp_path / "r.npy"), np.array(EXPECTED))
    (tmp_path / "r.npy").rename(tmp_path / "array")
    assert np.asarray(ranking_files.read(str(tmp_path / "array"), TRUTH)[0]).tolist() == EXPECTED
    run = write(tmp_path / "run", "q1 Q0 y 1 5 t\n")
    assert ranking_files.read(run, TRUTH)[0].tolist() == [[1], [-1]]


def test_ids_need_a_whole_gallery(tmp_path):
    part = listed(["p"], ["x"], [["x"]], [[]], "listed", is_complete=False)
    np.save(str(tmp_path / "r.npy"), np.array([[0]]))
    with pytest.raises(InputError, match="holds ids, and the ground truth names only 1 images of the gallery"):
        ranking_files.read(str(tmp_path / "r.npy"), part)


@pytest.mark.parametrize("name, text, message", [
    ("r.run", "q1 Q0 x 1 5\n", "r.run line 1: 'q1 Q0 x 1 5' is not query, Q0, image, rank, score and tag"),
    ("r.run", "q1 Q0 x 1 five t\n", "line 1: 'q1 Q0 x 1 five t' is not"),
    ("r.run", "q1 Q0 x 1 nan t\n", "line 1: 'q1 Q0 x 1 nan t' is not"),
    ("r.run", "q1 Q0 x 1 2 t\nq1 Q0 x 2 1 t\n", "line 2: x is ranked more than once for the query q1"),
    ("r.run", "", "r.run is empty"),
    ("r.run", b"q1 Q0 caf\xe9 1 2 t\n", "r.run is not UTF-8"),
    ("r.json", "[1]", "r.json is not {query: {image: similarity}}"),
    ("r.json", "{}", "r.json is not {query: {image: similarity}}"),
    ("r.json", "", "r.json is not valid JSON"),
    ("r.json", b'{"caf\xe9": {}}', "r.json is not valid JSON"),
    ("r.json", '{"q1": {"x": "near"}}', "the similarity of x to the query q1 is 'near'; it must be a number"),
    ("r.json", '{"q1": {"x": NaN}}', "the similarity of x to the query q1 is nan"),
    ("r.csv", "id,images\nq1,x\nq1,y\n", "r.csv has an id twice"),
    ("r.csv", "id,images\n", "r.csv is empty"),
    ("r.csv", "query,images\nq1,x\n", "expected a column 'id'"),
    ("r.csv", b"id,images\nq1,caf\xe9\n", "r.csv is not UTF-8"),
])
def test_files_that_cannot_be_used(tmp_path, name, text, message):
    with pytest.raises(InputError) as error:
        ranking_files.read(write(tmp_path / name, text), TRUTH)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_folder_of_arrays_is_no_folder_of_lists(tmp_path):
    for name in ("cfa.json", "cfa.npy", "none.npy"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match="holds rankings as .npy: give one of them, such as .*cfa.npy"):
        ranking_files.read_lists(str(tmp_path))


def test_folders_that_cannot_be_used(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    with pytest.raises(InputError, match="r holds no rankings; it needs a text file for each query"):
        ranking_files.read(str(folder), TRUTH)
    write(folder / "q1.txt", "x\n")
    with pytest.raises(InputError, match="r has 1 rankings, the ground truth 2 queries; 1 have none, the first is q2"):
        ranking_files.read(str(folder), TRUTH)
    write(folder / "q2.txt", " \n")
    with pytest.raises(InputError, match="q2.txt is empty"):
        ranking_files.read(str(folder), TRUTH)
    write(folder / "q2.txt", b"caf\xe9\n")
    with pytest.raises(InputError, match="q2.txt is not UTF-8"):
        ranking_files.read(str(folder), TRUTH)
    write(folder / "q2.txt", "y\nx\ny.jpg\n")
    with pytest.raises(InputError, match="query q2: the image y is ranked more than once"):
        ranking_files.read(str(folder), TRUTH)
    write(folder / "q2.log", "y\n")
    with pytest.raises(InputError, match="r has two rankings for the query q2; one is q2.txt"):
        ranking_files.read(str(folder), TRUTH)
