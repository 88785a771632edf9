import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import landmarks, metrics, ranking_files

RETRIEVAL = "id,images,Usage\nq1,a b,Public\nq2,c,Private\nq3,None,Ignored\nq4,None,Public\n"
RECOGNITION = "id,landmarks,Usage\np1,7,Private\np2,,Private\np3,5 6,Public\np4,9,Private\np5,1,Ignored\n"


def write(path, text):
    path.write_text(text)
    return str(path)


def test_retrieval_worked_by_hand(tmp_path):
    write(tmp_path / "retrieval_solution_v2.1.csv", RETRIEVAL)
    truth = landmarks.read_retrieval(str(tmp_path))
    path = write(tmp_path / "mine.csv", "id,images\nq2,x c\nq1,a y b\nq3,a\n")
    ranks, truth = ranking_files.read(path, truth)
    result = metrics.evaluate(ranks, truth.relevance, truth.ap, names=truth.metrics)
    np.testing.assert_allclose(result["average_precision"], [(1 + 2 / 3) / 2, 1 / 2, np.nan, np.nan])
    assert result["mAP_at_100"] == pytest.approx((5 / 6 + 1 / 2) / 2) and result["num_queries_without_positives"] == 2
    parts = {name: metrics.evaluate(ranks[one.rows], one.relevance)["mAP"] for name, one in truth.settings.items()}
    assert parts == {"public": pytest.approx(5 / 6), "private": pytest.approx(1 / 2)}


def test_retrieval_counts_a_hundred_places_only(tmp_path):
    many = ["im{:03d}".format(i) for i in range(150)]
    solution = "id,images,Usage\nq,{},Private\n".format(" ".join(many))
    truth = landmarks.read_retrieval(write(tmp_path / "s.csv", solution))
    ranks = np.arange(150)[np.newaxis]
    assert metrics.evaluate(ranks[:, :100], truth.relevance, names=["mAP@100"])["mAP_at_100"] == 1
    assert metrics.evaluate(np.append(ranks[:, :50], -np.ones((1, 9), int), axis=1), truth.relevance,
                            names=["mAP@100"])["mAP_at_100"] == 1 / 2


def test_recognition_worked_by_hand(tmp_path):
    solution = write(tmp_path / "recognition_solution_v2.1.csv", RECOGNITION)
    # By score: p2 (a distractor) .9, p1 right .8, p3 right .5 (a tie with p4, wrong; the smaller id goes first).
    mine = write(tmp_path / "m.csv", "id,landmarks\np4,3 0.5\np3,6 0.5\np1,7 0.8\np2,1 0.9\np5,1 1.0\n")
    result = landmarks.recognition(mine, str(tmp_path))
    assert result["GAP"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert result["GAP_private"] == pytest.approx((1 / 2) / 2) and result["GAP_public"] == 1
    assert (result["num_queries"], result["num_predictions"]) == (4, 4)
    nothing = write(tmp_path / "n.csv", "id,landmarks\np1,7 0.8\np3,\n")
    assert landmarks.recognition(nothing, solution)["GAP"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("solution, mine, message", [
    (RECOGNITION, "id,landmarks\np9,1 0.5\n", "m.csv row 1: p9 is not among the 5 photos of the solution"),
    (RECOGNITION, "id,landmarks\np1,1\n", "m.csv row 1: '1' is not a landmark and a score"),
    (RECOGNITION, "id,landmarks\np1,1 high\n", "m.csv row 1: '1 high' is not a landmark and a score"),
    (RECOGNITION, "id,landmarks\np1,1 1\np1,1 1\n", "m.csv has an id twice"),
    (RECOGNITION, "id,images\np1,1 1\n", "m.csv: expected a column 'id' and a column 'landmarks'"),
    ("id,landmarks,Usage\np1,,Public\n", "id,landmarks\np1,1 1\n", "no photo has a landmark"),
    ("id,landmarks,Usage\np1,1,Public\np1,2,Public\n", "id,landmarks\n", "s.csv has an id twice"),
    ("id,landmarks,Usage\np1,1,public\n", "id,landmarks\n", "row 1: Usage is 'public'; it must be Public, Private"),
])
def test_files_that_cannot_be_used(tmp_path, solution, mine, message):
    with pytest.raises(InputError, match=message):
        landmarks.recognition(write(tmp_path / "m.csv", mine), write(tmp_path / "s.csv", solution))
