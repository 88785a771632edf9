"""What side information and denoising bring: mAP of feature diffusion by what is known about the gallery. One CSV.

    python benchmarks/feature_sets.py --output sets
    python benchmarks/side_information.py --sets sets --output side_information.csv [--only emoji_subgroup,letter]

A fifth of the images, drawn once, are the queries: nothing is ever told about them, neither label nor text. All images
are the gallery, a query's own image being junk. Shares are of the other four fifths. Label `exact` is the evaluated
label (semi-supervised: known for others, never for the image asked for); `coarse` joins four classes at random, or is
the column `category` of <set>.csv where there is one, with `text` for the rows on texts. Wrong labels are another class
drawn at random, wrong texts another image's. Edges: mutual, k = 15; alpha 0.95, gamma 3.
"""
import argparse
import os

import csv_rows
import numpy as np

from slim_retrieval.common import csv_columns
from slim_retrieval.evaluation import metrics, relevance
from slim_retrieval.graph import affinity, diffusion, edge_denoising, edges, features, knn, side_information, side_text
from slim_retrieval.graph.side_information import Side

SETS = ["vowel", "letter", "digits", "glyph62", "emoji_skin", "emoji_subgroup"]
K, ALPHA, GAMMA = 15, 0.95, 3.0
COLUMNS = ["set", "information", "share", "wrong", "modes", "trust", "denoise", "estimated_trust", "believed", "mAP"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", required=True, metavar="DIR", help="folder of .npz files (feature_sets.py)")
    parser.add_argument("--output", required=True, metavar="FILE.csv", help="the table")
    parser.add_argument("--only", default=",".join(SETS), help="sets, separated by commas (default: %(default)s)")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.only.split(","):
        study = Study(arguments.sets, name)
        for case in cases(study):
            rows.append(dict({"set": name}, **study.run(case)))
            print(" ".join("{}={}".format(column, rows[-1][column]) for column in COLUMNS), flush=True)
        csv_rows.write(arguments.output, COLUMNS, rows)


def cases(study):
    """Yield dicts: information, and where they apply share, wrong, modes, trust, denoise."""
    yield {"information": "plain"}
    for denoise in edge_denoising.DENOISERS:
        yield {"information": "graph", "denoise": denoise}
    for denoise in ("none", "rank"):
        for information in ["coarse", "exact"]:
            for modes in (["veto"], ["reweight"], ["add"]):
                yield {"information": information, "share": .5, "modes": modes, "denoise": denoise}
            for share in (.1, .5, 1):
                yield {"information": information, "share": share, "denoise": denoise}
            for share in (.5, 1):
                for trust in (None, 1.0):
                    yield {"information": information, "share": share, "wrong": .2, "trust": trust, "denoise": denoise}
        if study.texts is not None:
            for share, wrong in ((.1, 0), (.5, 0), (1, 0), (1, .2)):
                yield {"information": "text", "share": share, "wrong": wrong, "denoise": denoise}
        if study.other is not None:
            yield {"information": "edges of the _raw features", "denoise": denoise}


class Study:
    """One feature set: its neighbours, queries, labels and texts."""

    def __init__(self, folder, name):
        with np.load(os.path.join(folder, name + ".npz"), allow_pickle=False) as stored:
            self.features = features.check_features(stored["features"], name)
            self.labels = np.unique(stored["labels"], return_inverse=True)[1].ravel()
        random = np.random.RandomState(0)
        self.queries = np.sort(random.permutation(len(self.labels))[:len(self.labels) // 5])
        self.near = knn.neighbors(self.features, K)
        self.coarse = random.permutation(self.labels.max() + 1)[self.labels] // 4
        self.texts, self.other = None, None
        if os.path.isfile(os.path.join(folder, name + ".csv")):
            columns = csv_columns.read(os.path.join(folder, name + ".csv"), ["category", "text"])
            self.coarse = np.unique(columns["category"], return_inverse=True)[1].ravel()
            self.texts = np.array(columns["text"], object)
        if os.path.isfile(os.path.join(folder, name + "_raw.npz")):
            with np.load(os.path.join(folder, name + "_raw.npz"), allow_pickle=False) as stored:
                if np.array_equal(np.unique(stored["labels"], return_inverse=True)[1].ravel(), self.labels):
                    self.other = features.check_features(stored["features"], name + "_raw")

    def run(self, case):
        """Return the row of one case."""
        row = dict({"share": "", "wrong": 0, "modes": "", "trust": "", "denoise": "none", "estimated_trust": "",
                    "believed": ""}, **case)
        if case["information"] == "plain":
            return dict(row, mAP=self.score(self.features))
        source, near = self.features, self.near
        if case["information"].startswith("edges"):
            source, near = self.other, knn.neighbors(self.other, K)
        side = Side(denoise=row["denoise"])
        if case["information"] in ("coarse", "exact"):
            side.labels = self.known_labels(case["information"], row["share"], row["wrong"])
            side.modes, side.trust = case.get("modes", ["veto", "add"]), case.get("trust")
            row.update(modes="+".join(side.modes), trust="auto" if side.trust is None else side.trust)
        if case["information"] == "text":
            side.text = side_text.tfidf(self.known_texts(row["share"], row["wrong"]))
            side.text_neighbors = side_text.neighbors(side.text, 5)
        matrix, report = side_information.apply(edges.edges(near[0], near[1], K, "mutual"), side, source)
        if "labels" in report:
            row["estimated_trust"] = round(report["labels"]["estimated_trust"], 3)
            row["believed"] = report["labels"]["believed"]
        normalised = affinity.normalised(affinity.affinity(matrix, GAMMA))
        solution, _ = diffusion.solve(normalised, ALPHA, self.features, 1e-3)
        return dict(row, mAP=self.score(features.normalise_rows(solution)))

    def known(self, share):
        """Return bool [n]: the images about which something is told, a share of those that are no queries."""
        known = np.random.RandomState(1).rand(len(self.labels)) < share
        known[self.queries] = False
        return known

    def known_labels(self, kind, share, wrong):
        """Return the codes that are told, -1 elsewhere; a share of them another class drawn at random."""
        codes = np.array(self.labels if kind == "exact" else self.coarse)
        random = np.random.RandomState(2)
        drawn = np.flatnonzero(random.rand(len(codes)) < wrong)
        codes[drawn] = (codes[drawn] + random.randint(1, codes.max() + 1, len(drawn))) % (codes.max() + 1)
        return np.where(self.known(share), codes, -1)

    def known_texts(self, share, wrong):
        """Return the texts that are told, empty elsewhere; a share of them another image's."""
        random = np.random.RandomState(2)
        rows = np.arange(len(self.texts))
        drawn = np.flatnonzero(random.rand(len(rows)) < wrong)
        rows[drawn] = random.randint(len(rows), size=len(drawn))
        return list(np.where(self.known(share), self.texts[rows], ""))

    def score(self, moved):
        """Return the mAP of the queries among all images, their own being junk."""
        ranks = knn.search(moved[self.queries], moved, len(moved))[0]
        images = np.arange(len(moved))
        truth = relevance.from_labels(self.labels[self.queries], self.labels, self.queries, images)
        return round(metrics.evaluate(ranks, truth)["mAP"], 4)


if __name__ == "__main__":
    main()
