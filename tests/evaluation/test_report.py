import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from slim_retrieval.evaluation import metrics, report
from slim_retrieval.evaluation.ground_truth import Index, classes

QUERY = Index(["q/0", "shared", "q/2"], ["cat", "dog <b>&", "fox"])
GALLERY = Index(["g/0", "g/1", "shared", "g/3"], ["cat", "dog <b>&", "dog <b>&", "cat"])
RANKINGS = {"none": np.array([[1, 0, 3], [2, 0, 1], [0, 1, 2]]), "cfa": np.array([[0, 3, -1], [2, 1, -1], [0, -1, -1]])}


class Page(HTMLParser):
    """Collects start tags with their attributes, and text by enclosing <li> class."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def render(tmp_path, count=10, pictures=None, **arguments):
    truth = classes(QUERY, GALLERY)
    results = {name: metrics.evaluate(ranks, truth.relevance) for name, ranks in RANKINGS.items()}
    path = str(tmp_path / "report.html")
    report.write(path, "run <1>", "3 queries & more", results, RANKINGS, truth, count, pictures, **arguments)
    with open(path, encoding="utf-8") as stream:
        return Page(stream.read())


def solid(shade, size=4):
    return np.full((size, size, 3), shade, np.uint8)


def test_frames_marks_and_alt_text_say_what_is_right(tmp_path):
    page = render(tmp_path, pictures=(lambda row: solid(row), lambda row: solid(100 + row)))
    tiles = [a for a in page.all("li") if "title" in a]
    # The fox has no positives and is left out. Lowest AP of none first: the cat (1/2 + 2/3)/2, then the dog, 1/2.
    dog = ["junk: dog <b>& (shared)", "wrong: cat (g/0)", "correct: dog <b>& (g/1)",  # none
           "junk: dog <b>& (shared)", "correct: dog <b>& (g/1)"]  # cfa: pads are not shown
    cat = ["wrong: dog <b>& (g/1)", "correct: cat (g/0)", "correct: cat (g/3)", "correct: cat (g/0)",
           "correct: cat (g/3)"]
    assert [tile["title"] for tile in tiles] == dog + cat
    assert [tile["class"] for tile in tiles] == [title.split(":")[0] for title in dog + cat]
    alts = [a["alt"] for a in page.all("img")]
    assert alts == (["query 1: dog <b>&"] + [t.rsplit(" (", 1)[0] for t in dog] +
                    ["query 0: cat"] + [t.rsplit(" (", 1)[0] for t in cat])
    # A mark for each tile and one in the key.
    assert page.text.count("\u2713") == 6 + 1 and page.text.count("\u2717") == 2 + 1
    assert "All 2 queries, from the lowest AP of none to the highest." in page.text


def test_text_is_escaped_and_nothing_is_loaded(tmp_path):
    page = render(tmp_path, pictures=(lambda row: solid(row), lambda row: solid(row)), note="Note <i>")
    assert not page.all("b") and not page.all("i") and not page.all("script") and not page.all("link")
    assert "run <1>" in page.text and "3 queries & more." in page.text and "Note <i>" in page.text
    assert all(a["src"].startswith("data:image/") for a in page.all("img"))
    assert all("href" not in a for _, a in page.tags)
    assert ("viewport", "width=device-width, initial-scale=1") in [(a.get("name"), a.get("content"))
                                                                   for a in page.all("meta")]


def test_each_picture_is_read_once_and_only_when_shown(tmp_path):
    read = []
    render(tmp_path, pictures=(lambda row: solid(row), lambda row: read.append(row) or solid(row)))
    assert sorted(read) == [0, 1, 2, 3]


def test_unreadable_pictures_are_counted(tmp_path):
    def query_image(row):
        raise OSError("gone")

    page = render(tmp_path, pictures=(query_image, solid))
    assert "Pictures that could not be read and are left out: 2." in page.text
    assert page.text.count("no picture") == 2 and len(page.all("img")) == 10


def test_without_pictures_or_queries(tmp_path):
    page = render(tmp_path)
    assert not page.all("img") and "no picture" not in page.text and page.text.count("\u2713") == 7
    assert "Queries" not in render(tmp_path, count=0).text


def test_queries_are_spread_over_the_aps():
    aps = np.array([0.9, np.nan, 0.1, 0.5, 0.3, 0.7, np.nan])
    assert report.pick_queries(aps, 3).tolist() == [2, 3, 0]  # lowest, middle, highest
    assert report.pick_queries(aps, 5).tolist() == report.pick_queries(aps, 99).tolist() == [2, 4, 3, 5, 0]
    assert report.pick_queries(aps, 1).tolist() == [3]
    assert report.pick_queries(aps, 0).tolist() == []
    many = report.pick_queries(np.linspace(1, 0, 1000), 20)
    assert len(set(many.tolist())) == 20 and many[0] == 999 and many[-1] == 0


def decode(uri):
    kind, text = re.match("data:image/(png|jpeg);base64,(.*)$", uri).groups()
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_small_pictures_are_exact_and_large_ones_shrink():
    small = np.random.RandomState(0).randint(256, size=(28, 64, 3)).astype(np.uint8)
    kind, image = decode(report.data_uri(small))
    assert kind == "png"
    np.testing.assert_array_equal(image, small)
    large = np.zeros((300, 600, 3), np.uint8)
    large[:, :, 0] = 200
    kind, image = decode(report.data_uri(large))
    assert kind == "jpeg" and image.shape == (64, 128, 3)
    assert abs(image.astype(int) - [200, 0, 0]).max() < 8
