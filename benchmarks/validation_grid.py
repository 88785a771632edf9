"""Score settings of the graph methods on a run's validation split: how the values in configs/ were chosen.

    python benchmarks/validation_grid.py --run fashion_mnist [--only cfa]

Query and gallery take no part: `--validation` cuts the held-out training images into queries and a gallery.
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

GRID = {
    "none": [{}],
    "alpha_qe": [{"alpha_qe.k": k, "alpha_qe.alpha": a} for k in (5, 10, 20, 50, 100) for a in (0, 3)],
    "cfa": [{"cfa.edges": e, "cfa.levels": "[{{k: [{}], alpha: {}}}]".format(k, a), "cfa.query_neighbors": q}
            for e in ("knn", "mutual") for k in (10, 20, 30, 50, 100) for a in (0.9, 0.95, 0.99) for q in (10, 30)],
    "gfr": [{"gfr.layer": "sage", "gfr.epochs": epochs, "gfr.layers": layers,
             "gfr.activate": both, "gfr.residue": both, "gfr.neighbors": k}
            for epochs in (2, 5) for layers, both, k in ((1, "false", 10), (1, "false", 20), (2, "true", 10))],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder or name")
    parser.add_argument("--directory", default="runs", help="folder that holds all runs")
    parser.add_argument("--only", choices=sorted(GRID), default=None, help="one method alone")
    arguments = parser.parse_args()
    common = ["--run", arguments.run, "--run.directory", arguments.directory, "--validation"]
    for method, settings in GRID.items():
        if arguments.only not in (None, method):
            continue
        for setting in settings:
            name = "_".join([method] + [re.sub(r"\W+", "_", str(value)).strip("_") for value in setting.values()])
            flags = [text for key, value in setting.items() for text in ("--" + key, str(value))]
            call("retrieve.py", common + ["--method", method, "--name", name] + flags)
    call("eval_map.py", common)


def call(script, arguments):
    subprocess.run([sys.executable, os.path.join(ROOT, script)] + arguments, check=True,
                   stdout=None if script == "eval_map.py" else subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
