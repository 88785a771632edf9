from slim_retrieval.evaluation import table

RESULTS = {"gfr": {"mAP": 0.81234, "recall_at_1": 0.9, "seconds": 12.34, "peak_memory_mb": 1812},
           "none": {"mAP": 0.7, "recall_at_1": 1.0, "seconds": None},
           "cfa": {"mAP": 0.8}}
PART = {"mAP": 0.5, "mAP_interval": [0.4, 0.6], "mP_at_5": 0.25}
REVISITED = {"cfa": dict(PART, seconds=2, peak_memory_mb=9, settings={
    "easy": dict(PART, mAP=0.75, against_none={"difference": 0.05, "interval": [-0.01, 0.1], "p": 0.0321}),
    "hard": dict(PART, mAP=0.25, against_none=None)}),
             "none": {"mAP": 0.7, "settings": {}, "against_none": None}}


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


def test_metrics_intervals_settings_and_what_was_gained():
    assert table.markdown(REVISITED, "c", ["mAP", "mP@5"]) == (
        "c\n\n"
        "| method | mAP | mAP 95 % | mP@5 | seconds | peak memory |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| none | 0.7000 | - | - | - | - |\n"
        "| cfa (easy) | 0.7500 | 0.4000-0.6000 | 0.2500 | 2.0 | 9 MB |\n"
        "| cfa (hard) | 0.2500 | 0.4000-0.6000 | 0.2500 | 2.0 | 9 MB |\n"
        "\n"
        "- cfa (easy) against none: mAP +0.0500 (95 % -0.0100 to +0.1000), p 0.0321\n")
    assert table.plain(REVISITED, "c").endswith("\n\n" + table.comparison(REVISITED)[0])


def test_plain_columns_line_up():
    lines = table.plain(RESULTS, "caption").split("\n")
    assert lines[:2] == ["caption", ""]
    assert lines[2] == "method     mAP  Recall@1  seconds  peak memory"
    assert lines[5] == "gfr     0.8123    0.9000     12.3     1,812 MB"
    assert len({len(line) for line in lines[2:]}) == 1
