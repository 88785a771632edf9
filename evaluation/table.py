"""The table of methods, as markdown for a file and as aligned text for a terminal."""

COLUMNS = ["method", "mAP", "Recall@1", "seconds", "peak memory"]


def order(methods):
    """Return the methods' names with `none`, the plain search that all others are measured against, first."""
    return sorted(methods, key=lambda name: (name != "none", name))


def rows(results):
    """Return the cells of the table as text, one list for each method in `order`.

    Args:
      results: {method: metrics}; mAP as a fraction of 1, recall_at_1, seconds and peak_memory_mb may be missing.
    """
    forms = [("mAP", "{:.4f}"), ("recall_at_1", "{:.4f}"), ("seconds", "{:.1f}"), ("peak_memory_mb", "{:,.0f} MB")]
    return [[name] + [_number(results[name].get(key), form) for key, form in forms] for name in order(results)]


def markdown(results, caption):
    """Return the table in markdown with its caption in front."""
    lines = [caption, "", _markdown_row(COLUMNS), _markdown_row(["---"] + ["---:"] * (len(COLUMNS) - 1))]
    return "\n".join(lines + [_markdown_row(row) for row in rows(results)]) + "\n"


def plain(results, caption):
    """Return the table as text whose columns line up, with its caption in front."""
    cells = [COLUMNS] + rows(results)
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
             for row in cells]
    return "\n".join([caption, ""] + lines)


def _markdown_row(cells):
    return "| {} |".format(" | ".join(cell.replace("|", "\\|") for cell in cells))


def _number(value, form):
    return "-" if value is None else form.format(value)
