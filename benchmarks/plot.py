"""Figures of the CSVs that the other benchmarks write: seconds, peak memory, recall and mAP against the size.

    python benchmarks/plot.py graph_speed.csv large_gallery.csv --output figures [--format png] [--machine "2 cores"]

What a CSV holds is told by its columns (FIGURES). Values of `apart` that differ, such as another width of the
features, make figures of their own; where there is one size only, bars are drawn. What a benchmark left out, and why,
is written below. pip install matplotlib.
"""
import argparse
import collections
import os
import textwrap

import csv_rows

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, command

# title; columns that tell it; x and its label; columns that tell lines apart, and figures; {column: label} of its
# panels. Fractions are drawn on a linear axis, all others on a logarithmic one.
Figure = collections.namedtuple("Figure", "title columns x label lines apart panels")
SECONDS, MEMORY, RECALL, MAP = "seconds", "peak memory, MB", "recall", "mAP"
FRACTIONS = {RECALL, MAP}
IMAGES = "images"
FIGURES = [
    Figure("k-NN graph, 20 neighbours", {"processor", "setting", "recall"}, "n", IMAGES, ["method"], ["set", "d"],
           {"seconds": SECONDS, "peak_mb": MEMORY + " beyond the features", "recall": "recall"}),
    Figure("gallery and 1,000 queries through retrieve.py", {"wall", "method_seconds", "index"}, "n", IMAGES,
           ["method", "index", "flags"], ["set", "d"],
           {"wall": SECONDS, "peak_mb": MEMORY, "recall": RECALL, "mAP": MAP}),
    Figure("what cells cost", {"cells", "method_seconds"}, "cells", "cells, level by level", ["set", "n", "d"], [],
           {"mAP": MAP, "method_seconds": SECONDS + " after the k-NN graph", "peak_mb": MEMORY}),
    Figure("one sparse product, and the solver", {"edges", "scipy", "product"}, "n", IMAGES, ["what"], ["d"],
           {"seconds": SECONDS}),
    Figure("re-ranking", {"method", "seconds", "peak_mb", "mAP"}, "n", IMAGES, ["method"], ["d"],
           {"seconds": SECONDS, "peak_mb": MEMORY + " beyond the features", "mAP": MAP}),
    Figure("one query of a saved index", {"query_ms", "open_ms"}, "n", IMAGES, ["method"], ["d"],
           {"query_ms": "milliseconds of a query", "megabytes": "index, MB", "build": "seconds to build it"}),
]
INK, MARKS = "#333333", "osD^vPX*<>"
STYLE = dict({"font.size": 9, "svg.hashsalt": "plot.py", "svg.fonttype": "none",
              "axes.spines.top": False, "axes.spines.right": False},
             **dict.fromkeys(["axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color", "ytick.color"], INK))


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", metavar="FILE.csv")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the figures")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    parser.add_argument("--machine", help="said in the title instead of what the CSV says")
    flags = parser.parse_args(argv)
    for path in flags.tables:
        for name, figure, rows in figures(path):
            written = os.path.join(flags.output, "{}.{}".format(name, flags.format))
            draw(written, figure, rows, flags.machine)
            print("written: " + written)


def figures(path):
    """Return [(name, Figure, rows)] of a CSV.

    Raises:
      InputError: there is no such file, none of the figures is made of it, or nothing was measured.
    """
    rows = csv_rows.read(path)
    if not rows:
        raise InputError("{} is not there or has no rows; run the benchmark that writes it first".format(path))
    fitting = [figure for figure in FIGURES if figure.columns <= set(rows[0])]
    if not fitting:
        raise InputError("{} has the columns {}, of which no figure is made; there are figures of CSVs with {}".format(
            path, ", ".join(rows[0]), "; ".join(", ".join(sorted(figure.columns)) for figure in FIGURES)))
    figure, groups = fitting[0], {}
    for row in unfolded(rows, figure):
        groups.setdefault(tuple(row.get(column, "") for column in figure.apart), []).append(row)
    stem = os.path.splitext(os.path.basename(path))[0]
    found = [("-".join([stem] + [value for value in group if value]), figure, rows) for group, rows in groups.items()
             if any(row.get(column) for row in rows for column in figure.panels)]
    if not found:
        raise InputError("{}: nothing was measured; its column `note` says why".format(path))
    return found


def unfolded(rows, figure):
    """Return a row for each point: diffusion_speed.py has several in one, rerank_speed.py further ones of stages."""
    if "scipy" in figure.columns:
        return [dict(row, what=what, seconds=row[column]) for row in rows for column, what in (
            ("scipy", "product, SciPy"), ("product", "product, ours"), ("solve", "solver, 24 products"))]
    return [row for row in rows if ":" not in row.get("method", "")]


def draw(path, figure, rows, where=None):
    """Draw one figure."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    matplotlib.rcParams.update(STYLE)
    panels = [column for column in figure.panels if any(row.get(column) for row in rows)]
    lines, places = lines_of(figure, rows), positions([row[figure.x] for row in rows])
    down = 2 if len(panels) == 4 else 1
    across = len(panels) // down
    canvas, axes = pyplot.subplots(down, across, figsize=(3.3 * across + 1, 2.9 * down + 1), squeeze=False,
                                   layout="constrained")
    for axis, column in zip(axes.ravel(), panels):
        (bars if len(places) == 1 else curves)(axis, figure, column, lines, places)
        axis.set_title(figure.panels[column], fontsize=9)
    canvas.suptitle("\n".join(heading(figure, rows, where)), fontsize=10)
    if len(places) > 1:  # the note goes with the legend: beside it, both would be in one place
        handles, names = axes[0, 0].get_legend_handles_labels()
        high = -(-len(names) // (2 * across))
        canvas.legend(handles, names, loc="outside lower center", ncols=-(-len(names) // high), frameon=False,
                      title=footnote(figure, rows), title_fontsize=7)
    else:
        canvas.supxlabel(footnote(figure, rows), fontsize=7)
    with files.replacing(path) as temporary:
        canvas.savefig(temporary, dpi=150, facecolor="white",
                       metadata={"Date": None} if path.endswith("svg") else None)
    pyplot.close(canvas)


def lines_of(figure, rows):
    """Return {what tells a line: its rows}; columns that are the same in all lines are not told."""
    varied = [column for column in figure.lines if len({row.get(column) for row in rows}) > 1] or figure.lines[:1]
    lines = {}
    for row in rows:
        name = " ".join(grouped(row[column]) for column in varied if row.get(column) not in ("", "-", None))
        lines.setdefault(name, []).append(row)
    return lines


def positions(values):
    """Return {value: place on the x axis}: the number itself where all are numbers, else one after the other."""
    distinct = list(dict.fromkeys(values))
    if all(value.isdigit() for value in distinct):
        return {value: int(value) for value in sorted(distinct, key=int)}
    return {value: place for place, value in enumerate(distinct)}


def curves(axis, figure, column, lines, places):
    """Draw a line for each of `lines`, from size to size."""
    for number, (name, rows) in enumerate(lines.items()):
        points = sorted((places[row[figure.x]], float(row[column])) for row in rows if row.get(column))
        own = name.startswith("ours") or name.endswith("ours")
        axis.plot(*(zip(*points) if points else ([], [])), label=name, color="C{}".format(number % 10),
                  marker=MARKS[number % len(MARKS)], markersize=4.5, linewidth=2.4 if own else 1.2)
    if all(value.isdigit() for value in places):
        axis.set_xscale("log")
    axis.set_xticks(list(places.values()), [grouped(value) for value in places], fontsize=8)
    axis.minorticks_off()
    if figure.panels[column] not in FRACTIONS:
        from matplotlib import ticker
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=subdivisions(*axis.get_ylim())))
        axis.yaxis.set_major_formatter(lambda value, _: "{:,g}".format(value))
        axis.yaxis.set_minor_formatter(ticker.NullFormatter())
    axis.set_xlabel(figure.label)
    axis.grid(True, alpha=0.3, linewidth=0.6)


def subdivisions(low, high):
    """Return at which multiples of a power of ten there are ticks: more of them where the axis is short."""
    return (1, 2, 3, 5) if high < 8 * low else (1, 2, 5) if high < 50 * low else (1, 3) if high < 1000 * low else (1,)


def grouped(value):
    """Return a number with its thousands told apart, anything else as it is."""
    return "{:,}".format(int(value)) if value.isdigit() else value


def bars(axis, figure, column, lines, places):
    """Draw a bar for each of `lines`, its value beside it."""
    for number, rows in enumerate(lines.values()):
        value = rows[-1].get(column)
        if value:
            axis.barh(number, float(value), color="C{}".format(number % 10), height=0.7)
            axis.annotate(" {:,.{}g}".format(float(value), max(3, len(str(int(float(value)))))),
                          (float(value), number), va="center", fontsize=8)
    axis.set_yticks(range(len(lines)), list(lines) if axis.get_subplotspec().is_first_col() else [""] * len(lines))
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.margins(x=0.25)


def heading(figure, rows, where=None):
    """Return the title's lines: what was measured, on what, and where."""
    on = ["{} {}".format(*item) if item[0] != "d" else item[1] + " dimensions"
          for item in ((column, rows[0].get(column)) for column in figure.apart) if item[1]]
    sizes = positions([row["n"] for row in rows])
    on += ["{:,} images".format(*sizes.values())] if len(sizes) == 1 and figure.x == "n" else []
    where = where or "; ".join(dict.fromkeys(row["machine"] for row in rows if row.get("machine")))
    return [line for line in (figure.title, ", ".join(on), where) if line]


def footnote(figure, rows):
    """Return what was left out, and why, in lines of some length."""
    notes = ["{} at {:,}: {}".format(" ".join(row[column] for column in figure.lines), int(row["n"]), row["note"])
             for row in rows if row.get("note")]
    return "\n".join(textwrap.wrap("; ".join(notes), 150))


if __name__ == "__main__":
    main()
