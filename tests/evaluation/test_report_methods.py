import pytest

from slim_retrieval.evaluation import report_methods

RESULTS = {
    "cfa": {"mAP": 0.5, "mAP_interval": [0.4, 0.6], "recall_at_1": 0.5, "num_queries": 9, "seconds": 1234.5,
            "peak_memory_mb": 2000, "against_none": {"difference": 0.1, "interval": [0.05, 0.15], "p": 0.0001}},
    "none": {"mAP": 0.4, "mAP_interval": [0.2, 0.5], "recall_at_1": 0.7, "recall_at_5": 0.8, "new_metric": 0.25,
             "against_none": None},
}


def test_means():
    none, cfa = report_methods.means(RESULTS)
    assert none == {"name": "none", "text": "0.4000", "best": False, "interval": "0.2000\u20130.5000", "gain": "",
                    "gain_interval": "", "p": "", "bar": pytest.approx([0, 50, 75])}
    assert cfa == {"name": "cfa", "text": "0.5000", "best": True, "interval": "0.4000\u20130.6000", "gain": "+0.1000",
                   "gain_interval": "+0.0500 to +0.1500", "p": "< 0.001", "bar": pytest.approx([50, 75, 100])}


def test_a_single_method_without_interval():
    [only] = report_methods.means({"none": {"mAP": 0.5}})
    assert only["interval"] == "" and not only["best"] and only["bar"] == [None, 0, None]


def test_columns():
    main, more = report_methods.columns(RESULTS, ["mAP", "recall@1", "MRR"])
    assert [(c["title"], [cell["text"] for cell in c["cells"]]) for c in main] == [
        ("Recall@1", ["0.7000", "0.5000"]), ("seconds", ["-", "1,234.5"]), ("peak memory", ["-", "2,000 MB"])]
    assert [cell["best"] for cell in main[0]["cells"]] == [True, False]
    assert [(c["title"], [cell["text"] for cell in c["cells"]]) for c in more] == [
        ("Recall@5", ["0.8000", "-"]), ("new metric", ["0.2500", "-"])]
    assert not any(cell["best"] for column in main[1:] + more for cell in column["cells"])  # nothing to compare with


def test_settings_of_a_protocol_are_rows():
    results = {name: {"mAP": 0.1, "seconds": 2.0, "settings": {
        "easy": {"mAP": easy, "recall_at_1": 0.5}, "hard": {"mAP": hard, "recall_at_1": 0.25}}}
        for name, easy, hard in (("none", 0.75, 0.25), ("cfa", 0.5, 0.5))}
    rows = report_methods.means(results)
    assert [(row["name"], row["text"], row["best"]) for row in rows] == [
        ("none (easy)", "0.7500", True), ("none (hard)", "0.2500", False),
        ("cfa (easy)", "0.5000", False), ("cfa (hard)", "0.5000", True)]
    main, _ = report_methods.columns(results, ["recall@1"])
    assert [[cell["text"] for cell in column["cells"]] for column in main[:2]] == [
        ["0.5000", "0.2500"] * 2, ["2.0"] * 4]


def test_titles():
    assert [report_methods.title(key) for key in ("recall_at_10", "mean_reciprocal_rank", "MAP_at_R", "what_else")] == [
        "Recall@10", "MRR", "MAP@R", "what else"]
