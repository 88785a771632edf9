"""The table of methods, as markdown for a file and as aligned text for a terminal."""
from slim_retrieval.evaluation.metric_names import parse

DEFAULT = ("mAP", "recall@1")
INTERVAL = "mAP 95 %"
_COST = [("seconds", "{:.1f}"), ("peak_memory_mb", "{:,.0f} MB")]


def order(methods):
    """Return the methods' names with `none`, the plain search that all others are measured against, first."""
    return sorted(methods, key=lambda name: (name != "none", name))


def columns(results, metrics=DEFAULT):
    """Return the headings of the table: method, the metrics with mAP's interval behind mAP, seconds, memory."""
    headings = []
    for metric in map(parse, metrics):
        headings.append(metric.heading)
        if metric.key == "mAP" and _has_interval(results):
            headings.append(INTERVAL)
    return ["method"] + headings + ["seconds", "peak memory"]


def rows(results, metrics=DEFAULT):
    """Return the cells of the table as text: a row for each method in `order`, or for each setting of a method.

    Args:
      results: {method: metrics}; any of the metrics, seconds and peak_memory_mb may be missing.
      metrics: names of the metrics to show.
    """
    keys, cells = [parse(name).key for name in metrics], []
    for method in order(results):
        result = results[method]
        parts = [("{} ({})".format(method, name), one) for name, one in (result.get("settings") or {}).items()]
        for name, one in parts or [(method, result)]:
            row = [name]
            for key in keys:
                row.append(_number(one.get(key), "{:.4f}"))
                if key == "mAP" and _has_interval(results):
                    row.append(_interval(one.get("mAP_interval")))
            cells.append(row + [_number(result.get(key), form) for key, form in _COST])
    return cells


def comparison(results):
    """Return lines that say how far each method's mAP is from that of `none`, with interval and p."""
    lines = []
    for method in order(results):
        result = results[method]
        parts = [(" ({})".format(name), one) for name, one in (result.get("settings") or {}).items()]
        for name, one in parts or [("", result)]:
            against = one.get("against_none")
            if against:
                lines.append("{}{} against none: mAP {:+.4f} (95 % {:+.4f} to {:+.4f}), p {:.4f}".format(
                    method, name, against["difference"], *(against["interval"] + [against["p"]])))
    return lines


def markdown(results, caption, metrics=DEFAULT):
    """Return the table in markdown with its caption in front and the comparison with `none` behind."""
    heads = columns(results, metrics)
    lines = [caption, "", _markdown_row(heads), _markdown_row(["---"] + ["---:"] * (len(heads) - 1))]
    lines += [_markdown_row(row) for row in rows(results, metrics)]
    against = comparison(results)
    return "\n".join(lines + ([""] + ["- " + line for line in against] if against else [])) + "\n"


def plain(results, caption, metrics=DEFAULT):
    """Return the table as text whose columns line up, with its caption in front and the comparison behind."""
    cells = [columns(results, metrics)] + rows(results, metrics)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
             for row in cells]
    against = comparison(results)
    return "\n".join([caption, ""] + lines + ([""] + against if against else []))


def _has_interval(results):
    return any(result.get("mAP_interval") for result in results.values())


def _interval(bounds):
    return "-" if not bounds else "{:.4f}-{:.4f}".format(*bounds)


def _markdown_row(cells):
    return "| {} |".format(" | ".join(cell.replace("|", "\\|") for cell in cells))


def _number(value, form):
    return "-" if value is None else form.format(value)
