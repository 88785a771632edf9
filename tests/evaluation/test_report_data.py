import numpy as np
import pytest

from slim_retrieval.evaluation import relevance, report_data
from slim_retrieval.evaluation.ground_truth import GroundTruth, Index


def truth(query_paths, gallery_paths, label="a"):
    indexes = [Index(paths, [label] * len(paths)) for paths in (query_paths, gallery_paths)]
    return GroundTruth(*indexes, relevance.from_lists([[0]] * len(query_paths), None, len(gallery_paths)),
                       "")


def test_paths_lose_the_common_folder_and_labels_are_numbered():
    images = report_data.Images(truth(["data/ab/q.jpg"], ["data/ac/g.jpg", "data/ab/h.jpg"], "x"))
    assert images.folder == "data/"
    assert (images.path("query", 0), images.path("gallery", 1)) == ("ab/q.jpg", "ab/h.jpg")
    assert (images.label("query", 0), images.label("gallery", 1), images.labels) == (0, 0, ["x"])
    assert report_data.Images(truth(["a"], ["b"])).folder == ""


def test_long_and_broken_texts():
    long = "z" * 300 + "/end.jpg"
    images = report_data.Images(truth([long, "b"], ["c"], "label " * 50))
    assert images.path("query", 0).endswith("/end.jpg") and len(images.path("query", 0)) == report_data.CLIP - 2
    images.label("query", 0)
    assert images.labels[0].startswith("label label") and len(images.labels[0].encode("utf-8")) == report_data.CLIP
    # 97 bytes are left beside the dots, room for 48 letters of two bytes.
    assert report_data.clip("\u00e9" * 60) == "\u00e9" * 48 + "\u2026"
    assert report_data.clip("\u00e9" * 60, end=True) == "\u2026" + "\u00e9" * 48
    assert report_data.clip("\u00e9" * 50) == "\u00e9" * 50
    assert report_data.clip("caf\udce9").encode("utf-8") == b"caf?"  # a name that is not UTF-8


def test_queries_without_labels():
    unlabelled = truth(["q"], ["g"])._replace(query=Index(["q"], []), gallery=Index(["g"], []))
    images = report_data.Images(unlabelled)
    assert images.labels == [] and images.label("gallery", 0) == 0 and images.labels == [""]


def test_columns_of_queries():
    images = report_data.Images(truth(["q/0", "q/1", "r/2"], ["g"]))
    aps = np.array([[0.12345, np.nan, 1.0], [0, np.nan, 2 / 3]])
    rows = report_data.listed(aps, [])
    assert report_data.queries(rows, aps, np.array([1, 0, 5]), [["c", "", "wc"], ["", "", "j"]], images) == {
        "row": [0, 2], "label": [0, 0], "path": ["q/0", "r/2"], "positives": [1, 5], "ap": [[1234, 10000], [0, 6667]],
        "marks": [["c", "wc"], ["", "j"]]}


def test_of_very_many_queries_a_sample_is_listed(monkeypatch):
    monkeypatch.setattr(report_data, "LISTED_CELLS", 20)
    aps = np.zeros((2, 100))
    aps[:, 50:60] = np.nan
    rows = report_data.listed(aps, [99, 3, 4])
    assert len(rows) == 10 and {3, 4, 99} <= set(rows.tolist()) and (np.diff(rows) > 0).all()
    assert not set(range(50, 60)) & set(rows.tolist())
    assert report_data.listed(aps, [99, 3, 4], seed=1).tolist() != rows.tolist()


@pytest.mark.parametrize("num_positives, k, depth", [([1, 2, 0], 50, 10), ([40, 30, 20], 50, 30), ([900], 5000, 100),
                                                     ([900], 7, 7)])
def test_depth_of_the_neighbourhood(num_positives, k, depth):
    assert report_data.neighbourhood(np.array(num_positives), k) == depth
