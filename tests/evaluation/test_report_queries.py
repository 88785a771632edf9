import numpy as np

from slim_retrieval.evaluation import relevance, report_queries

NONE = np.array([0.9, np.nan, 0.1, 0.5, 0.3, 0.7, 0.1, 0.2])
CFA = np.array([0.9, np.nan, 0.2, 0.1, 0.3, 0.8, 0.2, 0.9])
POSITIVES = np.array([3, 0, 3, 3, 3, 3, 5, 3])


def test_groups():
    found = dict(report_queries.groups([NONE, CFA], POSITIVES, 4 * 2 - 2))
    # Means .9 - .15 .3 .3 .75 .15 .55; of equal queries, more positives first. count // 4 = 1 of each.
    assert {title: rows.tolist() for title, rows in found.items()} == {
        "Lowest AP": [6], "Highest AP": [0], "Methods differ most": [7], "Spread from lowest to highest AP": [4]}
    one = report_queries.groups([NONE], POSITIVES, 6)
    assert [(title, rows.tolist()) for title, rows in one] == [
        ("Lowest AP", [6, 2]), ("Highest AP", [0, 5]), ("Spread from lowest to highest AP", [6, 0])]


def test_few_queries_are_one_group():
    [(title, rows)] = report_queries.groups([NONE, CFA], POSITIVES, 7)
    assert title.startswith("All") and rows.tolist() == [6, 2, 3, 4, 7, 5, 0]
    assert report_queries.groups([NONE, CFA], POSITIVES, 0) == []


def test_methods_that_never_differ_have_no_such_group():
    assert "Methods differ most" not in dict(report_queries.groups([NONE, NONE], POSITIVES, 4))


def test_evenly():
    assert report_queries.evenly(9, 3).tolist() == [0, 4, 8]
    assert report_queries.evenly(9, 1).tolist() == [4]
    assert len(set(report_queries.evenly(1000, 20).tolist())) == 20


def test_lists_say_what_moved():
    judged = relevance.from_lists([[], [2, 4]], [[], [0]], 6)
    rankings = {"none": np.array([[0] * 5, [1, 0, 2, 3, -1]]), "cfa": np.array([[0] * 5, [2, 0, 4, -1, -1]])}
    assert report_queries.lists(1, rankings, judged, "none", first=3) == {
        "none": [(1, "w", 1), (0, "j", 2), (2, "c", 3)],
        "cfa": [(2, "c", 3), (0, "j", 2), (4, "c", 0)]}  # 4 is not in the list of none
