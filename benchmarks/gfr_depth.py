"""GFR by depth on classes that it has not seen: mAP, and how alike the features have become.

    python benchmarks/gfr_depth.py --sets DIR --output depth.csv --only glyph62_open,letter30 [--kinds edge --seeds 3]

Splits as in gfr_open.py; trained anew at each depth. "cosine" is the mean cosine of two features of the unseen gallery
and "rank" their effective rank, exp of the entropy of the squared singular values' shares: where everything is smoothed
away both are 1. Rows that are in the CSV already are not computed again. The table that is printed has, for each set
and kind, mean and standard deviation of the mAP over seeds, and in brackets the means of the other two.
"""
import argparse
import csv
import os

import numpy as np
from gfr_open import score, split

from slim_retrieval.graph.gfr import GFR

# The metric of edge is not trained further than its closed form: that takes most of the time and knows no depth.
KINDS = {"edge": {"metric": "lda"}, "edges only": {"metric": "none"}, "sage": {"layer": "sage", "epochs": 5},
         "sage residue": {"layer": "sage", "residue": True, "epochs": 5}, "gat": {"layer": "gat"},
         "gat pair_norm": {"layer": "gat", "pair_norm": True}, "gat jump": {"layer": "gat", "jump": "concat"},
         "appnp": {"layer": "appnp"}, "gcnii": {"layer": "gcnii"},
         "gcnii drop_edge": {"layer": "gcnii", "drop_edge": 0.3}}
COLUMNS = ["set", "kind", "depth", "seed", "mAP", "cosine", "rank", "note"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    parser.add_argument("--only", required=True, help="names of sets, separated by commas")
    parser.add_argument("--depths", default="1,2,4,8,16")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = read(arguments.output)
    for name in arguments.only.split(","):
        with np.load(os.path.join(arguments.sets, name + ".npz")) as stored:
            data = {key: stored[key] for key in stored.files}
        for kind in arguments.kinds.split(","):
            for seed in range(arguments.seeds):
                for depth in arguments.depths.split(","):
                    if (name, kind, depth, str(seed)) not in rows:
                        rows[name, kind, depth, str(seed)] = run(data, kind, int(depth), seed)
                        write(arguments.output, rows)
                        print(name, kind, depth, seed, *rows[name, kind, depth, str(seed)], flush=True)
    print(table(rows, arguments.depths.split(",")))


def run(data, kind, depth, seed):
    """Return [mAP, mean cosine, effective rank, note] as text."""
    features, labels, train = data["features"].astype(np.float32), data["labels"], split(data, seed)
    query = data["query"][~train] if "query" in data else None
    unseen, truth = features[~train], labels[~train]
    model = GFR(seed=seed, layers=depth, **KINDS[kind]).learn(features[train], labels[train])
    model.fit(unseen if query is None else unseen[~query])
    note = " ".join("{}={:.3g}".format(key, model.report_[key]) for key in ("sharpness", "strength", "train_accuracy")
                    if key in model.report_)
    return ["{:.4f}".format(score(model, unseen, truth, query))] + alike(model.gallery_) + [note]


def alike(rows):
    """Return [mean cosine, effective rank] of unit rows, as text."""
    share = np.linalg.svd(rows, compute_uv=False) ** 2
    share /= share.sum()
    mean = rows.mean(axis=0, dtype=np.float64)
    cosine = (len(rows) * mean @ mean - 1) / (len(rows) - 1)
    return ["{:.3f}".format(cosine), "{:.1f}".format(np.exp(-np.sum(share * np.log(share + 1e-30))))]


def table(rows, depths):
    """Return the lines of a Markdown table: sets and kinds down, depths across."""
    lines = ["| set | layers | " + " | ".join("depth " + depth for depth in depths) + " |"]
    lines.append("| --- " * (len(depths) + 2) + "|")
    for name, kind in dict.fromkeys(key[:2] for key in rows):
        cells = []
        for depth in depths:
            found = np.array([row[:3] for key, row in rows.items() if key[:3] == (name, kind, depth)], float)
            cells.append("{:.3f} ± {:.3f} ({:.2f}, {:.0f})".format(found[:, 0].mean(), found[:, 0].std(),
                                                                   *found[:, 1:].mean(axis=0)) if len(found) else "")
        lines.append("| {} | {} | {} |".format(name, kind, " | ".join(cells)))
    return "\n".join(lines)


def read(path):
    """Return {(set, kind, depth, seed): [mAP, cosine, rank, note]} of a CSV, {} where there is none."""
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8", newline="") as stream:
        return {tuple(row[:4]): row[4:] for row in list(csv.reader(stream))[1:]}


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS] + [list(key) + row for key, row in rows.items()])


if __name__ == "__main__":
    main()
