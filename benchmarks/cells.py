"""What it costs to cut the gallery into cells: mAP, seconds and peak memory of CFA against the number of cells.

    python benchmarks/cells.py --folder /tmp/large [--sizes 10000 100000 1000000] [--dimensions 512] [--features F.npz]
        [--cells none 1 10 100 1000 100-30-10] [--flags "--retrieval.max_memory 8"] [--output cells.csv]

CFA with k 30 and alpha .95: one level with so many cells; 100-30-10 are three levels, one after the other, whose cells
differ so that they bridge each other's cuts; none is plain search. Galleries, queries and columns are those of
large_gallery.py. The k-NN graph is the same for all and is built, and kept in the folder, by a run that is not counted:
`graph` are its seconds, `method_seconds` all others. Numbers of cells beyond the gallery's images are left out.
"""
import argparse
import json
import os

import csv_rows
import galleries
import large_gallery

from slim_retrieval.common.errors import InputError, command

COLUMNS = ["set", "n", "d", "cells", "graph", "method_seconds", "wall", "processor", "peak_mb", "recall", "mAP",
           "machine"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    galleries.add_flags(parser)
    parser.add_argument("--cells", nargs="+", default=["none", "1", "10", "100", "1000", "100-30-10"], metavar="C",
                        help="cells, several levels with - between them; none: plain search")
    parser.add_argument("--flags", default="", help="further flags for retrieve.py")
    parser.add_argument("--output", default="cells.csv", help="CSV to write")
    flags = parser.parse_args(argv)
    counts = {text: counted(text) for text in flags.cells}
    wanted = [dict(key, cells=text) for key in galleries.keys(flags) for text in flags.cells
              if max(counts[text], default=0) <= key["n"]]
    csv_rows.fill(flags.output, COLUMNS, wanted, lambda key, _: measure(key, counts[key["cells"]], flags))


def counted(text):
    """Return the cells of each level, [100, 30, 10] of "100-30-10"; [] of "none"."""
    parts = [] if text == "none" else text.split("-")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError("--cells: {!r} is not a number of cells, nor several with - between them such as 100-30-10, "
                         "nor none".format(text))
    return [int(part) for part in parts]


def measure(key, counts, flags):
    """Return what CFA took with these cells, and how well it ranked."""
    output = os.path.join(flags.folder, "cells-{set}-{n}x{d}".format(**key))
    if not counts:
        return large_gallery.measure(dict(key, method="none", index="-", flags=flags.flags), flags.folder,
                                     flags.features, output)
    levels = [{"k": [30], "alpha": 0.95, "cells": count} for count in counts]
    key = dict(key, method="cfa", index="-", flags="--graph.neighbors 30 --cfa.levels '{}' {}".format(
        json.dumps(levels), flags.flags))
    if not os.path.exists(os.path.join(output, "cfa.json")):
        large_gallery.measure(key, flags.folder, flags.features, output)  # builds the graph, for all
    return large_gallery.measure(key, flags.folder, flags.features, output)


if __name__ == "__main__":
    main()
