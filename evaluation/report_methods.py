"""The report's table of methods: mAP with its interval, what it gains on `none`, every other metric, cost."""
import re
from typing import NamedTuple

from slim_retrieval.evaluation import table
from slim_retrieval.evaluation.metric_names import METRICS, parse

COST = {"seconds": ("seconds", "{:,.1f}"), "peak_memory_mb": ("peak memory", "{:,.0f} MB")}


class Row(NamedTuple):
    """A method, or one of a protocol's settings (such as hard) of a method, with the metrics and the cost."""
    name: str
    setting: str
    metrics: dict
    cost: dict


def rows(results):
    """Return the `Row`s of the table: methods in order, each with the settings that the protocol has."""
    found = []
    for method in table.order(results):
        result = results[method]
        parts = [("{} ({})".format(method, setting), setting, one)
                 for setting, one in (result.get("settings") or {}).items()]
        found += [Row(name, setting, one, result) for name, setting, one in parts or [(method, "", result)]]
    return found


def means(results):
    """Return the mAP of each row: {name, text, best, interval, gain, gain_interval, p, bar}.

    `interval`, `gain` (on `none`), its interval and `p` are texts, '' where the result lacks them. `bar` are the places
    of the interval's low end, mAP and the high end, from 0 to 100 on one scale for all rows; the ends may be None.
    """
    found = rows(results)
    maps = [row.metrics["mAP"] for row in found]
    intervals = [row.metrics.get("mAP_interval") or [None, None] for row in found]
    known = [bound for interval in intervals for bound in interval if bound is not None] + maps
    low, width = min(known), max(max(known) - min(known), 1e-9)
    cells = []
    for row, cell, interval in zip(found, _marked(found, "mAP"), intervals):
        gain = row.metrics.get("against_none") or {}
        cells.append(dict(
            cell, name=row.name, interval=_text(interval, "{:.4f}\u2013{:.4f}"),
            gain=_text([gain.get("difference")], "{:+.4f}"),
            gain_interval=_text(gain.get("interval") or [None], "{:+.4f} to {:+.4f}"), p=_probability(gain.get("p")),
            bar=[None if place is None else 100 * (place - low) / width
                 for place in (interval[0], row.metrics["mAP"], interval[1])]))
    return cells


def columns(results, metrics=table.DEFAULT):
    """Return ([main columns], [all others]), each {title, cells}; cells are {text, best}, one for each of `rows`.

    Main are `metrics` (their names; mAP has its own columns) and the costs; all others is every further metric (a
    float) that some row has. The best values of a metric are marked, within each setting.
    """
    found = rows(results)
    stored = [key for row in found for key, value in row.metrics.items()
              if isinstance(value, float) and key not in COST]
    first = [parse(name).key for name in metrics]
    main = [{"title": title(key), "cells": _marked(found, key)} for key in first if key in stored and key != "mAP"]
    for key, (heading, form) in COST.items():
        main.append({"title": heading, "cells": [{"text": _text([row.cost.get(key)], form) or "-", "best": False}
                                                 for row in found]})
    return main, [{"title": title(key), "cells": _marked(found, key)}
                  for key in dict.fromkeys(stored) if key not in first and key != "mAP"]


def title(key):
    """Return the heading of a metric by its key in a result: recall_at_1 is Recall@1."""
    for metric in METRICS.values():
        found = re.match(metric.key.replace("{}", "([0-9]+)") + "$", key)
        if found:
            return metric.heading.format(*found.groups())
    return key.replace("_", " ")


def _marked(found, key):
    """Return {text, best} of a metric for each row; best is the highest of several rows of a setting."""
    by_setting = {}
    for row in found:
        if row.metrics.get(key) is not None:
            by_setting.setdefault(row.setting, []).append(row.metrics[key])
    cells = []
    for row in found:
        value, others = row.metrics.get(key), by_setting.get(row.setting, [])
        cells.append({"text": _text([value], "{:.4f}") or "-", "best": len(others) > 1 and value == max(others)})
    return cells


def _text(values, form):
    return "" if None in values else form.format(*values)


def _probability(p):
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else "{:.3f}".format(p)
