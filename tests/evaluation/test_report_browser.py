"""The report in a real browser: headless Chromium, driven by chromedriver."""
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from slim_retrieval.evaluation import metrics, report
from slim_retrieval.evaluation.ground_truth import Index, classes

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
DRIVER = shutil.which("chromedriver")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its chromedriver was found; on "
                                "Debian: apt-get install chromium chromium-driver")


def colored(row):
    """A picture that says its row: stripes of two shades."""
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[::2], picture[1::2] = row % 256, (40, 90, 200)
    return picture


@pytest.fixture(scope="module")
def material():
    """60 queries in 12 classes on 150 images; the shared ones are junk. (truth, results, rankings, features)."""
    random = np.random.RandomState(0)
    labels = ["class {} <b>".format(i % 12) for i in range(150)]
    query = Index(["folder/shared {}.png".format(i) for i in range(60)], labels[:60])
    others = ["folder/long_name_without_a_space_{:040d}.png".format(i) for i in range(40, 150)]
    gallery = Index(query.paths[:40] + others, labels)
    truth = classes(query, gallery)
    centres = random.normal(size=(12, 8))
    features = [centres[np.arange(n) % 12] + random.normal(scale=s, size=(n, 8)) for n, s in ((60, 0.8), (150, 0.9))]
    features = [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in features]
    scores = features[0] @ features[1].T
    rankings = {name: np.argsort(-scores - random.normal(scale=noise, size=scores.shape), axis=1)[:, :100]
                for name, noise in (("none", 0), ("method_of_a_long_name", 0.2), ("cfa", 0.05))}
    results = {name: metrics.evaluate(ranks, truth.relevance) for name, ranks in rankings.items()}
    return truth, results, rankings, features


@pytest.fixture(scope="module")
def page(material, tmp_path_factory):
    truth, results, rankings, features = material
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.write(str(path), "a run <1>", "60 queries", results, rankings, truth, 16, (colored, colored), features)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS + ["--user-data-dir={}".format(tmp_path_factory.mktemp("profile"))]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def visit(browser, path, width="wide", scheme="light"):
    """Open a file at a width; logs of what was open before are dropped."""
    size = dict(zip(("width", "height"), WIDTHS[width]), deviceScaleFactor=1, mobile=width == "narrow")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme",
                                                                        "value": scheme}]})
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(path.as_uri())


def events(browser, method):
    """Return what the browser's network did since the page was opened."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [message["params"] for message in messages if message["method"] == "Network." + method]


def requests(browser):
    """Return the addresses asked for since the page was opened, data: left out."""
    found = [event["request"]["url"] for event in events(browser, "requestWillBeSent")]
    return [address for address in found if not address.startswith("data:")]


def texts(browser, selector):
    return [node.get_attribute("textContent") for node in browser.find_elements(By.CSS_SELECTOR, selector)]


def click(browser, selector, number=0):
    browser.execute_script("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, number)


def column(browser, number):
    return [float(re.match("[0-9.]+", cell).group()) for cell in texts(
        browser, ".queries tbody td:nth-child({})".format(number))]


@pytest.mark.parametrize("width", sorted(WIDTHS))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_alone_and_fits(browser, page, width, scheme):
    visit(browser, page, width, scheme)
    for summary in range(len(texts(browser, "summary"))):
        click(browser, "summary", summary)
    click(browser, ".queries tbody button")  # the long names of a ranked list, inside the table
    there, room = browser.execute_script("const r = document.documentElement; return [r.scrollWidth, r.clientWidth]")
    assert there == room <= WIDTHS[width][0]
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    assert picture.size == WIDTHS[width] and len(picture.getcolors(2 ** 20)) > 20
    dark = np.asarray(picture)[5, 5].mean() < 128
    assert dark == (scheme == "dark")
    assert requests(browser) == [page.as_uri()]
    assert browser.get_log("browser") == []


def test_the_longest_move_stays_on_one_line_of_a_phone(browser, page):
    visit(browser, page, "narrow")
    before, after, needed, room = browser.execute_script("""
        const moved = [...document.querySelectorAll('ol .line span:last-child')].find(one => one.offsetHeight),
          line = moved.parentNode, before = line.offsetHeight;
        moved.textContent = '\u25b28.8k';
        return [before, line.offsetHeight, line.scrollWidth, line.clientWidth];""")
    assert before == after > 5 and needed <= room


def test_a_request_would_be_noticed(browser, tmp_path):
    other = tmp_path / "other.html"
    other.write_text("<img src='http://127.0.0.1:9/gone.png'><script>console.error('heard')</script>")
    visit(browser, other)
    assert requests(browser) == [other.as_uri(), "http://127.0.0.1:9/gone.png"]
    assert any("heard" in entry["message"] for entry in browser.get_log("browser"))


def test_the_page_itself_refuses_what_comes_from_elsewhere(browser, page):
    visit(browser, page)
    browser.execute_script("""const image = new Image(); image.src = 'http://127.0.0.1:9/gone.png';
        const script = document.createElement('script'); script.textContent = 'window.slipped = true';
        document.body.append(image, script)""")
    assert browser.execute_script("return window.slipped") is None
    assert [event["blockedReason"] for event in events(browser, "loadingFailed")] == ["csp"]
    assert all("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_the_table_sorts_and_pages(browser, page, material):
    aps = np.round(material[1]["cfa"]["average_precision"], 4)
    visit(browser, page)
    heads = texts(browser, ".queries thead button")
    assert heads == ["query", "matches", "none", "cfa", "method_of_a_long_name", "differ by"]
    click(browser, ".queries thead button", 3)
    assert column(browser, 4) == pytest.approx(np.sort(aps)[::-1][:25], abs=6e-4)
    click(browser, ".queries thead button", 3)
    assert column(browser, 4) == pytest.approx(np.sort(aps)[:25], abs=6e-4)
    assert browser.find_elements(By.CSS_SELECTOR, ".queries th")[3].get_attribute("aria-sort") == "ascending"
    click(browser, "#query-table .pager button", 2)
    assert texts(browser, "#query-table .pager span")[0] == "26\u201350 of 60 queries"
    assert column(browser, 4) == pytest.approx(np.sort(aps)[25:50], abs=6e-4)
    click(browser, "#query-table .pager button", 3)
    assert len(column(browser, 4)) == 10
    click(browser, ".queries thead button", 0)
    assert [int(text.split()[0]) for text in texts(browser, ".queries tbody small")] == list(range(25))


def test_the_table_finds(browser, page, material):
    none, cfa = (material[1][name]["average_precision"] for name in ("none", "cfa"))
    visit(browser, page)
    field = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    field.send_keys("class 7 <")
    assert texts(browser, ".queries tbody button") == ["class 7 <b>"] * 5
    field.send_keys("zzz")
    assert texts(browser, ".queries tbody td") == ["No query is like that."]
    for _ in "class 7 <zzz":
        field.send_keys("\ue003")  # backspace
    select = "const s = document.querySelectorAll('#query-table select')[arguments[0]]; s.value = arguments[1]; " \
             "s.dispatchEvent(new Event('change'))"
    browser.execute_script(select, 0, "worse")
    browser.execute_script(select, 1, "1")
    assert texts(browser, "#query-table .pager span")[0].endswith(
        "of {} queries".format(int((np.round(cfa, 4) < np.round(none, 4)).sum())))


def kinds(material, name, row):
    """Return what the tiles of one list must be called, from the labels alone."""
    truth, _, rankings, _ = material
    found = []
    for i in rankings[name][row, :10]:
        junk = truth.gallery.paths[i] == truth.query.paths[row]
        found.append("junk" if junk else "correct" if truth.gallery.labels[i] == truth.query.labels[row] else "wrong")
    return found


def test_ranked_lists(browser, page, material):
    truth, results, rankings, _ = material
    visit(browser, page)
    mean = np.mean([result["average_precision"] for result in results.values()], axis=0)
    for tab, row in ((0, mean.argmin()), (1, mean.argmax())):
        click(browser, "#query-lists .tools button", tab)
        assert texts(browser, "#query-lists h3 + .soft")[0].startswith("query {},".format(row))
        tiles = browser.find_elements(By.CSS_SELECTOR, "#query-lists .query:first-of-type ol li")[:30]
        names = ["none", "cfa", "method_of_a_long_name"]
        expected = sum([kinds(material, name, row) for name in names], [])
        assert [tile.get_attribute("class") for tile in tiles] == expected
        ids = [int(tile.get_attribute("data-row")) for tile in tiles]
        assert ids == sum([rankings[name][row, :10].tolist() for name in names], [])
        before = rankings["none"][row].tolist()
        moved = texts(browser, "#query-lists .query:first-of-type ol .line span:last-child")[10:20]
        expected = [before.index(i) - place if i in before else None for place, i in enumerate(ids[10:20])]
        assert moved == ["new" if n is None else "=" if not n else ("\u25b2" if n > 0 else "\u25bc") + str(abs(n))
                         for n in expected]
    widths = browser.execute_script("const images = document.querySelectorAll('#query-lists img'); "
                                    "return Array.from(images, i => i.naturalWidth)")
    assert widths and set(widths) == {30}
    click(browser, "#query-lists .pager button", 2)
    assert texts(browser, "#query-lists .pager span")[0] == "1\u20134 of 4 queries"  # four in a group: no second page


def test_a_row_opens(browser, page, material):
    visit(browser, page)
    click(browser, ".queries tbody button", 1)
    row = int(texts(browser, ".queries tbody small")[1].split()[0])
    assert texts(browser, ".opened h3 + .soft") == ["query {}, {} matches".format(
        row, material[0].relevance.num_positives[row])]
    assert texts(browser, ".opened h4")[0].startswith("none AP {:.4f}".format(
        material[1]["none"]["average_precision"][row]))
    click(browser, ".queries tbody button", 1)
    assert texts(browser, ".opened") == []


def test_curves_and_map(browser, page):
    visit(browser, page)
    lines = "#chart-precision polyline"
    assert len(texts(browser, lines)) == 3 and len(texts(browser, "#chart-recall polyline")) == 4
    assert len(texts(browser, "#chart-distances polygon")) == 2 and texts(browser, "#chart-near polyline")
    click(browser, "#chart-precision .legend button", 1)
    assert len(texts(browser, lines)) == 2
    point = "const s = document.querySelector('#chart-precision .chart svg'), b = s.getBoundingClientRect(); " \
            "s.dispatchEvent(new PointerEvent('pointermove', {clientX: b.left + b.width, clientY: b.top + 50}))"
    browser.execute_script(point)
    [tip] = texts(browser, "#chart-precision .tip")
    assert re.match("recall: 1none 0.[0-9]{3}method_of_a_long_name 0.[0-9]{3}$", tip)
    shown = "return document.querySelectorAll('#embedding g.near').length"
    assert len(texts(browser, "#embedding g")) == 210
    before = browser.execute_script(shown)
    for _ in range(4):
        click(browser, "#embedding button", 0)
    assert 0 < before < browser.execute_script(shown) <= 210  # nearer, fewer pictures lie upon each other


def contrast(one, other):
    """Return the contrast of two colours #rrggbb as WCAG 2 has it, from 1 to 21."""
    lights = []
    for text in (one, other):
        text = text if len(text) == 7 else "#" + "".join(2 * letter for letter in text[1:])
        values = [int(text[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        lights.append(np.dot([0.2126, 0.7152, 0.0722], [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4
                                                      for v in values]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(browser, page, scheme):
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    visit(browser, page, scheme=scheme)
    names = ["ink", "soft", "link", "correct", "wrong", "junk", "page", "card"] + ["c{}".format(i) for i in range(11)]
    colors = browser.execute_script("const s = getComputedStyle(document.documentElement); "
                                    "return arguments[0].map(n => s.getPropertyValue('--' + n).trim())", names)
    colors = dict(zip(names, colors))
    for name in names[:6]:
        for ground in ("page", "card"):
            assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
    for name in names[8:]:
        assert contrast(colors[name], colors["page"]) >= 3, name
