import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metrics, protocols
from slim_retrieval.evaluation.tables import Table


def table(*paths):
    return Table({"path": list(paths)}, "T")


def test_holidays_worked_by_hand(tmp_path):
    (tmp_path / "holidays_images.dat").write_text("100000.jpg\n100001.jpg\n100002.jpg\n100100.jpg\n100101.jpg\n")
    truth = protocols.read("holidays", str(tmp_path / "holidays_images.dat"))
    assert truth.query.paths == ["100000.jpg", "100100.jpg"] and truth.query.labels == ["1000", "1001"]
    assert truth.relevance.num_positives.tolist() == [2, 1] and truth.ap == "trapezoid"
    # Query 0 finds itself, which is removed, then +, wrong, +: places 1 and 3. Query 1: wrong, itself, +: place 2.
    result = metrics.evaluate(np.array([[0, 1, 3, 2, 4], [0, 3, 4, 1, 2]]), truth.relevance, truth.ap)
    np.testing.assert_allclose(result["average_precision"], [(1 + 7 / 12) / 2, 1 / 4])


def test_holidays_with_queries_apart_and_distractors():
    truth = protocols.of_tables("holidays", table("q/100100.jpg"), table("100100.jpg", "100101.jpg", "200001.jpg"))
    hits, junk = truth.relevance.judge(np.array([0]), np.array([[0, 1, 2]]))
    assert hits.tolist() == [[False, True, False]] and junk.tolist() == [[True, False, False]]
    with pytest.raises(InputError, match="T: 100001.jpg is no query of Holidays; the names of queries end in 00"):
        protocols.of_tables("holidays", table("100000.jpg", "100001.jpg"), table("100002.jpg"))


def test_ukbench_worked_by_hand(tmp_path):
    for number in range(8):
        (tmp_path / "ukbench{:05d}.jpg".format(number)).write_bytes(b"")
    truth = protocols.read("ukbench", str(tmp_path))
    assert truth.relevance.num_positives.tolist() == [4] * 8
    ranks = np.array([[0, 1, 2, 3]] * 4 + [[4, 5, 0, 1]] * 3 + [[0, 1, 2, 7]])
    result = metrics.evaluate(ranks, truth.relevance, names=truth.metrics)
    assert result["ns_score"] == (4 * 4 + 3 * 2 + 1) / 8


def test_names_without_a_number():
    with pytest.raises(InputError, match="T: the name a1b.jpg does not end in a number"):
        protocols.of_tables("ukbench", table("1.jpg", "a1b.jpg"), table("2.jpg"))


def test_long_numbers_stay_apart():
    gallery = table("123456789012345600.jpg", "123456789012345601.jpg", "123456789012345701.jpg")
    truth = protocols.of_tables("holidays", table("123456789012345600.jpg"), gallery)
    assert truth.relevance.num_positives.tolist() == [1]
