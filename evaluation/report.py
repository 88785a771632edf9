"""One HTML file that shows results: methods, queries, ranked lists, curves, distances, a map of the embedding.

The file holds everything it needs (pictures too), loads nothing from the network and stays below MAX_BYTES. Its
parts: report.html (template), report.css, report_*.js (plain JavaScript that draws from the JSON of report_data).
"""
import base64
import glob
import hashlib
import json
import os

import jinja2
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.progress import progress
from slim_retrieval.evaluation import report_curves, report_data, report_methods, report_queries, table
from slim_retrieval.evaluation.report_pictures import thumbnails

MAX_BYTES = 20 * 10 ** 6
MAP_PICTURES, MAP_SIDE, MAP_BYTES = 400, 40, 1500000  # thumbnails on the map, their pixels and bytes together
LIST_PICTURES, LIST_SIDE = 4000, 112
HERE = os.path.dirname(os.path.abspath(__file__))


def write(path, title, caption, results, rankings, ground_truth, count, pictures=None, features=None, notes=(), seed=0,
          metrics=table.DEFAULT):
    """Write the report to `path`, complete or not at all; return its size in bytes.

    Args:
      title: heading, such as the run's name.
      caption: what the table says about itself, see `caption`.
      results: {method: metrics of `metrics.evaluate`}, with `average_precision`.
      rankings: {method: int [num_queries, k]} of the same methods; may be memory-mapped.
      ground_truth: the `GroundTruth`.
      count: queries to show with their ranked lists, see `report_queries.groups`.
      pictures: (query_image, gallery_image), two functions row -> uint8 RGB [H, W, 3], called from several threads;
        None: no pictures. A picture that cannot be read (OSError, InputError) is left out and counted.
      features: (query, gallery), float32 [., d], rows L2-normalised, may be memory-mapped; None: neither distances
        nor map.
      notes: sentences to show on top, such as why there are no pictures.
      seed: of every sample.
      metrics: names of the metrics that the table shows at once.
    """
    methods = table.order(results)
    data = _data(methods, results, rankings, ground_truth, count, features, seed)
    notes = list(notes) + _left_out(data, results[methods[0]]) + _judged_as(ground_truth)
    data["pictures"], data["small"] = {}, {}
    page = _render(title, caption, results, data, notes, metrics)
    if pictures:
        notes += _add_pictures(data, dict(zip(report_data.SPLITS, pictures)), MAX_BYTES - len(page) - 2000)
        page = _render(title, caption, results, data, notes, metrics)
    files.write_text(path, page.decode("utf-8"))
    return len(page)


def _data(methods, results, rankings, ground_truth, count, features, seed):
    """Return everything that the page draws from but the pictures."""
    relevance, images = ground_truth.relevance, report_data.Images(ground_truth)
    aps = np.array([results[name]["average_precision"] for name in methods])
    depth = report_data.neighbourhood(relevance.num_positives, rankings[methods[0]].shape[1])
    measured = [report_curves.measure(rankings[name], relevance, depth, report_data.FIRST)
                for name in progress(methods, what="report", unit="method")]
    count = min(count, report_data.SHOWN_CELLS // len(methods))
    groups = report_queries.groups(aps, relevance.num_positives, count)
    shown = list(dict.fromkeys(int(row) for _, rows in groups for row in rows))
    lists, gallery = report_data.ranked_lists(shown, methods, rankings, relevance, images)
    rows = report_data.listed(aps, shown, seed)
    return {
        "methods": methods, "maps": [results[name]["mAP"] for name in methods], "first": report_data.FIRST,
        "queries": report_data.queries(rows, aps, relevance.num_positives, [one.marks for one in measured], images),
        "groups": [{"title": title, "rows": rows.tolist()} for title, rows in groups], "lists": lists,
        "gallery": gallery,
        "curves": report_data.curves(measured, relevance.num_positives, aps, depth),
        "distances": report_data.distances(features, relevance, seed) if features else None,
        "map": report_data.embedding(features, ground_truth, images, seed) if features else None,
        "folder": images.folder, "labels": images.labels}  # last: labels are numbered as they are met


def _left_out(data, result):
    listed, total = len(data["queries"]["row"]), result["num_queries"] - result["num_queries_without_positives"]
    if listed == total:
        return []
    return ["The table of queries lists {:,} of {:,}: those shown below and others drawn at random; every mean and "
            "curve is of all.".format(listed, total)]


def _judged_as(ground_truth):
    names = [name for name, one in ground_truth.settings.items() if one.relevance is ground_truth.relevance]
    return ["All that follows the table is judged as {}.".format(names[0])] if names else []


def _add_pictures(data, read, budget):
    """Put thumbnails of what is shown into `data`; return notes on those that are not there."""
    points = data["map"]["points"] if data["map"] else []
    some = report_queries.evenly(len(points), min(len(points), MAP_PICTURES)) if points else []
    small, lost, over = thumbnails(read, [_split_row(points[i][0]) for i in some], MAP_SIDE, min(MAP_BYTES, budget))
    data["small"] = {report_data.key(*key): uri for key, uri in small.items()}
    wanted = {}
    for row, lists in data["lists"].items():
        wanted["query", row] = True
        wanted.update((("gallery", i), True) for one in lists for i, _, _ in one)
    wanted = list(wanted)
    budget -= sum(len(uri) + 20 for uri in data["small"].values()) + 20 * len(wanted)
    large, more_lost, more_over = thumbnails(read, wanted[:LIST_PICTURES], LIST_SIDE, budget)
    data["pictures"] = {report_data.key(*key): uri for key, uri in large.items()}
    notes, over = [], over + more_over + len(wanted[LIST_PICTURES:])
    if lost + more_lost:
        notes.append("Pictures that could not be read and are left out: {:,}.".format(lost + more_lost))
    if over:
        notes.append("Pictures left out to keep this file below {:.0f} MB: {:,}.".format(MAX_BYTES / 1e6, over))
    return notes


def _split_row(key):
    return {split[0]: split for split in report_data.SPLITS}[key[0]], int(key[1:])


def _render(title, caption, results, data, notes, metrics):
    """Return the page, UTF-8."""
    script = "\n".join(_read(path) for path in sorted(glob.glob(os.path.join(HERE, "report_*.js"))))
    script = "'use strict';\n" + script + "\nstart();\n"
    # The page allows this one script by its digest, data: pictures and nothing else.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    main, more = report_methods.columns(results, metrics)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html").render(
        title=title, caption=caption, notes=notes, means=report_methods.means(results),
        main=main, more=more, parameters=_parameters(results),
        style=_read(os.path.join(HERE, "report.css")),
        script=script, digest=digest, data=_json(data), facts=_facts(data)).encode("utf-8")


def _facts(data):
    """Return the few figures that the template's sentences need."""
    return {"first": data["first"], "shown": len(data["lists"]), "reference": data["methods"][0],
            "folder": data["folder"], "depth": data["curves"]["near"]["depth"], "distances": data["distances"],
            "map": data["map"], "pictures": len(data["pictures"]) + len(data["small"]),
            "several": len(data["methods"]) > 1, "limit": MAX_BYTES / 1e6}


def _parameters(results):
    return [(name, json.dumps(results[name]["parameters"], sort_keys=True, ensure_ascii=False))
            for name in table.order(results) if results[name].get("parameters")]


def _json(data):
    """Return JSON that no text in it can end: <, > and & are written as escapes."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, "\\u{:04x}".format(ord(letter)))
    return text


def _read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()
