import numpy as np

from slim_retrieval.graph import answers

COLUMNS = {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": ["shoe", "long label", ""], "other": ["1", "2", "3"]}


def test_answers_by_hand():
    found = answers.collect(["p.jpg"], np.array([[1, 0, -1]]), np.array([[0.75, -0.5, -1]]), COLUMNS)
    assert found == [{"image": "p.jpg", "neighbours": [
        {"rank": 1, "similarity": 0.75, "label": "long label", "path": "b.jpg"},
        {"rank": 2, "similarity": -0.5, "label": "shoe", "path": "a.jpg"}]}]
    assert answers.table(found) == ("p.jpg\n"
                                    "  rank  similarity  label       path\n"
                                    "     1      0.7500  long label  b.jpg\n"
                                    "     2     -0.5000  shoe        a.jpg")


def test_without_labels_and_without_similarities():
    found = answers.collect(["p.jpg"], np.array([[2]]), None, {"path": COLUMNS["path"]})
    assert found == [{"image": "p.jpg", "neighbours": [{"rank": 1, "similarity": None, "path": "c.jpg"}]}]
    assert answers.table(found).split("\n")[2] == "     1           -         c.jpg"


def test_a_name_that_is_not_utf_8_can_be_printed():
    found = answers.collect(["p\udcff.jpg"], np.array([[0]]), None, COLUMNS)
    assert answers.table(found).encode("utf-8").startswith(b"p\\udcff.jpg\n")
