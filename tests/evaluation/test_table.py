from slim_retrieval.evaluation import table

RESULTS = {"gfr": {"mAP": 0.81234, "recall_at_1": 0.9, "seconds": 12.34, "peak_memory_mb": 1812},
           "none": {"mAP": 0.7, "recall_at_1": 1.0, "seconds": None},
           "cfa": {"mAP": 0.8}}


def test_none_comes_first_then_the_alphabet():
    assert table.order(["zeta", "cfa", "none", "alpha_qe"]) == ["none", "alpha_qe", "cfa", "zeta"]


def test_markdown():
    assert table.markdown(RESULTS, "10 queries; AP: step sum") == (
        "10 queries; AP: step sum\n\n"
        "| method | mAP | Recall@1 | seconds | peak memory |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| none | 0.7000 | 1.0000 | - | - |\n"
        "| cfa | 0.8000 | - | - | - |\n"
        "| gfr | 0.8123 | 0.9000 | 12.3 | 1,812 MB |\n")


def test_markdown_escapes_what_would_end_a_cell():
    assert "| a\\|b | 0.5000 |" in table.markdown({"a|b": {"mAP": 0.5}}, "")


def test_plain_columns_line_up():
    lines = table.plain(RESULTS, "caption").split("\n")
    assert lines[:2] == ["caption", ""]
    assert lines[2] == "method     mAP  Recall@1  seconds  peak memory"
    assert lines[5] == "gfr     0.8123    0.9000     12.3     1,812 MB"
    assert len({len(line) for line in lines[2:]}) == 1
