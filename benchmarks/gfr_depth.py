"""GFR by depth on classes that it has not seen: mAP and how alike the features have become.

    python benchmarks/gfr_depth.py --sets DIR --only glyph62_open,emoji_skin_open [--depths 1,2,4,8,16]

Rows as in gfr_open.py, one split; trained anew at each depth. Beside the mAP stand the mean cosine of two features and the
effective rank (exp of the entropy of the squared singular values' shares): what smooths everything away tends to 1 in
both.
"""
import argparse
import os

import numpy as np
from gfr_open import mean_precision, ranked, split

from slim_retrieval.graph.gfr import GFR

KINDS = {"edge": {"metric": "lda"}, "sage": {"layer": "sage", "epochs": 5}, "sage residue": {
    "layer": "sage", "residue": True, "epochs": 5}, "gat": {"layer": "gat"}, "gat pair_norm": {
    "layer": "gat", "pair_norm": True}, "gat jump": {"layer": "gat", "jump": "concat"}, "appnp": {"layer": "appnp"},
    "gcnii": {"layer": "gcnii"}, "gcnii drop_edge": {"layer": "gcnii", "drop_edge": 0.3}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files with features and labels")
    parser.add_argument("--only", required=True, help="names of sets, separated by commas")
    parser.add_argument("--depths", default="1,2,4,8,16")
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    print("| set | layers | " + " | ".join("depth " + depth for depth in arguments.depths.split(",")) + " |")
    for name in arguments.only.split(","):
        with np.load(os.path.join(arguments.sets, name + ".npz")) as stored:
            data = {key: stored[key] for key in stored.files}
        train = split(data, 0)
        for kind in arguments.kinds.split(","):
            cells = []
            for depth in arguments.depths.split(","):
                model = GFR(**dict(KINDS[kind], layers=int(depth))).learn(data["features"][train], data["labels"][train])
                cells.append(cell(model, data["features"][~train], data["labels"][~train]))
            print("| {} | {} | ".format(name, kind) + " | ".join(cells) + " |", flush=True)


def cell(model, unseen, labels):
    """Return 'mAP (mean cosine, effective rank)'."""
    rows = model.fit(unseen).gallery_
    share = np.linalg.svd(rows, compute_uv=False) ** 2
    share /= share.sum()
    mean = rows.mean(axis=0, dtype=np.float64)
    cosine = (len(rows) * mean @ mean - 1) / (len(rows) - 1)
    return "{:.3f} ({:.2f}, {:.0f})".format(mean_precision(ranked(rows, rows, own=True), labels, labels), cosine,
                                            np.exp(-np.sum(share * np.log(share + 1e-30))))


if __name__ == "__main__":
    main()
