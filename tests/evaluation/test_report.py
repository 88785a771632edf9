import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from slim_retrieval.evaluation import metrics, report, report_data
from slim_retrieval.evaluation.ground_truth import Index, Setting, classes

QUERY = Index(["q/0", "shared", "q/2"], ["cat", "dog </script><b>&", "fox"])
GALLERY = Index(["g/0", "g/1", "shared", "g/3"], ["cat", "dog </script><b>&", "dog </script><b>&", "cat"])
RANKINGS = {"none": np.array([[1, 0, 3], [2, 0, 1], [0, 1, 2]]), "cfa": np.array([[0, 3, -1], [2, 1, -1], [0, -1, -1]])}


class Page(HTMLParser):
    """Collects start tags with their attributes, text outside scripts, and the contents of scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.scripts = [], "", []
        self.feed(text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def render(tmp_path, count=10, pictures=None, truth=None, rankings=RANKINGS, **arguments):
    truth = truth or classes(QUERY, GALLERY)
    results = {name: metrics.evaluate(ranks, truth.relevance) for name, ranks in rankings.items()}
    path = str(tmp_path / "report.html")
    size = report.write(path, "run <1>", "3 queries & more", results, rankings, truth, count, pictures, **arguments)
    with open(path, "rb") as stream:
        content = stream.read()
    assert len(content) == size
    return Page(content.decode("utf-8"))


def solid(shade, size=4):
    return np.full((size, size, 3), shade, np.uint8)


def test_what_the_page_draws_from(tmp_path):
    data = render(tmp_path, pictures=(solid, lambda row: solid(100 + row))).data
    assert data["methods"] == ["none", "cfa"] and data["queries"]["row"] == [0, 1]  # the fox has no positives
    # none: (1/2 + 2/3) / 2 and, the shared image being junk, 1/2; cfa finds all first.
    assert data["queries"]["ap"] == [[5833, 5000], [10000, 10000]]
    assert data["queries"]["marks"] == [["wcc", "jwc"], ["cc", "jc"]]
    assert data["groups"] == [{"title": "All, lowest AP first", "rows": [1, 0]}]
    # [gallery image, mark, place in none]
    assert data["lists"]["0"] == [[[1, "w", 1], [0, "c", 2], [3, "c", 3]], [[0, "c", 2], [3, "c", 3]]]
    assert data["lists"]["1"][1] == [[2, "j", 1], [1, "c", 3]]
    labels = {i: data["labels"][label] for i, (label, _) in data["gallery"].items()}
    assert labels == {"0": "cat", "1": "dog </script><b>&", "2": "dog </script><b>&", "3": "cat"}
    assert set(data["pictures"]) == {"q0", "q1", "g0", "g1", "g2", "g3"}
    assert data["curves"]["recall"][1][-1] == 1 and len(data["curves"]["precision"][0]) == 101


def test_text_is_escaped_and_nothing_is_loaded(tmp_path):
    page = render(tmp_path, pictures=(solid, solid), notes=["Note <i>"])
    assert not page.all("b") and page.all("i") and len(page.all("script")) == 2
    assert "run <1>" in page.text and "3 queries & more." in page.text and "Note <i>" in page.text
    policy = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0].startswith("default-src 'none'; img-src data:;") and "sha256-" in policy[0]
    assert [a["href"] for _, a in page.tags if not a.get("href", "#").startswith("#")] == ["data:,"]
    assert all("src" not in a for _, a in page.tags)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page.scripts[1])


def test_features_give_distances_and_a_map(tmp_path):
    random = np.random.RandomState(0)
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (
        random.normal(size=(3, 4)).astype(np.float32), random.normal(size=(4, 4)).astype(np.float32)))
    page = render(tmp_path, pictures=(solid, solid), features=(query, gallery))
    assert page.data["distances"]["pairs"] == [3, 4]  # of the cat 2 and 2, of the dog 1 (and one junk) and 2
    assert [key for key, _, _ in page.data["map"]["points"]] == ["q0", "q1", "q2", "g0", "g1", "g2", "g3"]
    assert len(page.data["map"]["layouts"]["t-SNE"]) == 2 * 7 and len(page.data["small"]) == 7
    assert "Map of the embedding" in page.text and "Distances of matching" in page.text
    without = render(tmp_path)
    assert without.data["map"] is None and "Map of the embedding" not in without.text


def test_unreadable_pictures_are_counted(tmp_path):
    def query_image(row):
        raise OSError("gone")

    page = render(tmp_path, pictures=(query_image, solid))
    assert "Pictures that could not be read and are left out: 2." in page.text
    assert set(page.data["pictures"]) == {"g0", "g1", "g2", "g3"}


def test_the_file_stays_within_its_bound(tmp_path, monkeypatch):
    full = len(json.dumps(render(tmp_path, pictures=(solid, solid)).data))
    picture = np.random.RandomState(0).randint(256, size=(60, 60, 3)).astype(np.uint8)  # some 15,000 characters each
    bare = report.write(str(tmp_path / "x"), "t", "c", {"none": metrics.evaluate(RANKINGS["none"], classes(
        QUERY, GALLERY).relevance)}, {"none": RANKINGS["none"]}, classes(QUERY, GALLERY), 10)
    monkeypatch.setattr(report, "MAX_BYTES", bare + 50000)
    page = render(tmp_path, pictures=(lambda row: picture, lambda row: picture))
    assert 1 <= len(page.data["pictures"]) <= 3 and (tmp_path / "report.html").stat().st_size <= report.MAX_BYTES
    assert "Pictures left out to keep this file below 0 MB: {}.".format(6 - len(page.data["pictures"])) in page.text
    assert full > 0


def test_some_queries_of_many(tmp_path, monkeypatch):
    monkeypatch.setattr(report_data, "LISTED", 1)
    page = render(tmp_path, count=0)
    assert "lists 1 of 2" in page.text and len(page.data["queries"]["row"]) == 1
    assert page.data["lists"] == {} and "Ranked lists" not in page.text
    monkeypatch.setattr(report_data, "SHOWN_CELLS", 2)  # one query of two methods in each group
    groups = render(tmp_path, count=10).data["groups"]
    assert [len(group["rows"]) for group in groups] == [1] * 4


def test_a_protocol_with_settings_says_which_one_is_drawn(tmp_path):
    truth = classes(QUERY, GALLERY)
    easy = classes(Index(QUERY.paths, ["cat"] * 3), GALLERY).relevance
    truth = truth._replace(settings={"easy": Setting(easy), "medium": Setting(truth.relevance)})
    assert "judged as medium." in render(tmp_path, truth=truth).text
    assert "judged as" not in render(tmp_path).text


@pytest.mark.parametrize("rankings", [{"cfa": RANKINGS["cfa"]}, {"b": RANKINGS["none"], "a": RANKINGS["cfa"]}])
def test_without_plain_search_the_first_method_is_compared_with(tmp_path, rankings):
    data = render(tmp_path, rankings=rankings).data
    first = data["lists"]["0"][0]
    assert data["methods"] == sorted(rankings) and [place for _, _, place in first] == [1, 2]
