"""One HTML file that shows results: the table of methods and, for some queries, what each method returned.

The file holds everything it needs (pictures too) and loads nothing from the network.
"""
import base64
import io
import os

import jinja2
import numpy as np
from PIL import Image

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.evaluation import table

FIRST = 10  # results shown for each query and method
SMALL = 64  # pixels; pictures up to this size are kept exactly
THUMBNAIL = 128  # pixels of the longer side of all others
MARKS = {"correct": "\u2713", "wrong": "\u2717", "junk": "\u2013"}


def write(path, title, caption, results, rankings, ground_truth, count, pictures=None, note=""):
    """Write the report to `path`, complete or not at all.

    Args:
      title: heading, such as the run's name.
      caption: what the table says about itself, see `caption`.
      results: {method: metrics of `metrics.evaluate`}, with `average_precision`.
      rankings: {method: int [num_queries, k]} of the same methods.
      ground_truth: the `GroundTruth`.
      count: queries to show.
      pictures: (query_image, gallery_image), two functions row -> uint8 RGB [H, W, 3]; None: no pictures. A picture
        that cannot be read (OSError, InputError) is left out and counted.
      note: a sentence to show above the queries, such as why there are no pictures.
    """
    reference = table.order(results)[0]
    chosen = pick_queries(results[reference]["average_precision"], count)
    shown = _Pictures(pictures)
    queries = [_query(row, results, rankings, ground_truth, shown)
               for row in progress(chosen, what="report", unit="query")]
    notes = [note] if note else []
    if shown.unreadable:
        notes.append("Pictures that could not be read and are left out: {:,}.".format(shown.unreadable))
    template = jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
                                  autoescape=True, undefined=jinja2.StrictUndefined).get_template("report.html")
    files.write_text(path, template.render(
        title=title, caption=caption, columns=table.COLUMNS, rows=table.rows(results), notes=notes, queries=queries,
        rule=_rule(reference, len(chosen), results[reference]), marks=MARKS, pictures=pictures is not None))


def pick_queries(average_precision, count):
    """Return up to `count` rows, evenly spaced from the lowest AP to the highest, both ends among them.

    Args:
      average_precision: float [num_queries]; rows with NaN (no positives) are never picked. Ties keep the rows' order.

    Returns:
      int [min(count, rows with an AP)], by rising AP.
    """
    average_precision = np.asarray(average_precision)
    order = np.argsort(average_precision, kind="stable")  # NaN sorts last
    order = order[:np.count_nonzero(~np.isnan(average_precision))]
    count = min(count, len(order))
    if count == 1:
        return order[[len(order) // 2]]
    return order[np.round(np.linspace(0, len(order) - 1, count)).astype(int)]


def data_uri(image):
    """Return an image as a data URI: exactly (PNG) up to SMALL pixels, else a JPEG of at most THUMBNAIL pixels.

    Args:
      image: uint8 RGB [H, W, 3].
    """
    picture, buffer = Image.fromarray(np.asarray(image)), io.BytesIO()
    if max(picture.size) <= SMALL:
        picture.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.LANCZOS)
        picture.save(buffer, "JPEG", quality=85)
        kind = "jpeg"
    return "data:image/{};base64,{}".format(kind, base64.b64encode(buffer.getvalue()).decode("ascii"))


class _Pictures:
    """Data URIs by split and row; each picture is read once, though several methods return it."""

    def __init__(self, pictures):
        self._read = dict(zip(("query", "gallery"), pictures)) if pictures else {}
        self._known = {}
        self.unreadable = 0

    def __call__(self, split, row):
        if split in self._read and (split, row) not in self._known:
            try:
                self._known[split, row] = data_uri(self._read[split](row))
            except (OSError, InputError):
                self._known[split, row] = None
                self.unreadable += 1
        return self._known.get((split, row))


def _query(row, results, rankings, ground_truth, shown):
    """Return what the template shows of one query, as plain data."""
    row = int(row)
    methods = []
    for name in table.order(results):
        ranks = np.asarray(rankings[name][row:row + 1, :FIRST])
        hits, junk = ground_truth.relevance.judge(np.array([row]), ranks)
        junk = np.zeros_like(hits) if junk is None else junk
        methods.append({"name": name, "ap": float(results[name]["average_precision"][row]), "results": [
            dict(_tile("gallery", int(i), ground_truth.gallery, shown), kind=_kind(hit, removed))
            for i, hit, removed in zip(ranks[0], hits[0], junk[0]) if i >= 0]})
    return dict(_tile("query", row, ground_truth.query, shown), row=row, methods=methods,
                num_positives=int(ground_truth.relevance.num_positives[row]))


def _tile(split, row, index, shown):
    return {"label": index.labels[row], "path": index.paths[row], "picture": shown(split, row)}


def _kind(hit, removed):
    return "junk" if removed else "correct" if hit else "wrong"


def _rule(reference, count, result):
    total = result["num_queries"] - result["num_queries_without_positives"]
    if count == total:
        return "All {:,} queries, from the lowest AP of {} to the highest.".format(total, reference)
    return "{:,} of {:,} queries, taken at even steps when all are sorted by AP of {}, lowest first.".format(
        count, total, reference)
