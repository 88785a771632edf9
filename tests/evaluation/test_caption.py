from slim_retrieval.common import config as configuration
from slim_retrieval.evaluation import caption
from slim_retrieval.evaluation.ground_truth import Index, classes

QUERY = Index(["t/0", "t/1", "t/2"], ["a", "b", "b"])
GALLERY = Index(["t/{}".format(i) for i in range(3, 1203)], ["a"] * 1200)


def data(**splits):
    overrides = {}
    for name, (source, part) in splits.items():
        overrides.update({"data.{}.source".format(name): source, "data.{}.part".format(name): str(part)})
    return configuration.resolve(None, overrides).data


def test_run_says_sources_and_overlap():
    chosen = data(query=("t10k", [0, 0.1]), gallery=("t10k", [0.1, 1]), train=("train", [0, 1]))
    train = Index(["train/0", "train/1", "t/1"], ["b", "b", "c"])
    assert caption.of_run(chosen, classes(QUERY, GALLERY), "step", 2, train, note="alpha by hand") == (
        "3 queries (t10k, part 0-0.1), 1,200 gallery images (t10k, part 0.1-1); "
        "trained on train (1 of 2 query labels and 1 of 1,203 query and gallery images were trained on); "
        "positives: same label; AP: step sum; queries without positives, left out: 2; "
        "alpha by hand")
    assert caption.of_run(chosen, classes(QUERY, GALLERY), "step", 2, train).endswith("left out: 2")


def test_validation_is_no_test_result():
    text = caption.of_run(data(validation=("train", [0.9, 1])), classes(QUERY, GALLERY), "trapezoid", validation=0.2)
    assert text == ("3 queries (train, part 0.9-1), 1,200 gallery images (train, part 0.9-1); validation split, a "
                    "share of 0.2 cut off as queries; positives: same label; AP: trapezoid (Oxford, revisited); "
                    "for choosing parameters, not a test result")


def test_protocol_and_another_ap_are_named():
    text = caption.of_files(classes(QUERY, GALLERY)._replace(protocol="market1501"), "trapezoid")
    assert text == ("3 queries, 1,200 gallery images; protocol market1501; positives: same label; AP: trapezoid "
                    "(Oxford, revisited); not the protocol's own AP, which is the step sum")


def test_names_of_queries_are_no_labels():
    truth = classes(QUERY, GALLERY)._replace(is_labelled=False)
    text = caption.of_run(data(train=("train", [0, 1])), truth, "step", train=Index(["t/1", "x"], []))
    assert "trained on train (1 of 1,203 query and gallery images were trained on); positives" in text


def test_files():
    assert caption.of_files(classes(QUERY, GALLERY), "step") == (
        "3 queries, 1,200 gallery images; positives: same label; AP: step sum")
