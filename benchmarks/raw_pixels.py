"""The yardstick below every network: cosine of raw pixels, on the query and gallery of a configuration.

    python benchmarks/raw_pixels.py --config configs/fashion_mnist.yaml
"""
import argparse

import numpy as np

from slim_retrieval.common import config as configuration
from slim_retrieval.common.errors import command
from slim_retrieval.datasets.factory import read_split
from slim_retrieval.datasets.images import resize
from slim_retrieval.evaluation.metrics import evaluate
from slim_retrieval.evaluation.relevance import from_labels
from slim_retrieval.graph.features import check_features
from slim_retrieval.graph.ranking import rank


@command
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, help="YAML file of the experiment")
    options = configuration.to_plain(configuration.resolve(parser.parse_args().config))
    result = raw_pixels(options)
    print("raw pixels, cosine: mAP {:.4f}, MRR {:.4f}, Recall@1 {:.4f}, {} queries, {} gallery images".format(
        result["mAP"], result["mean_reciprocal_rank"], result["recall_at_1"], result["num_queries"],
        result["num_gallery"]))


def raw_pixels(options):
    """Return the metrics of a configuration's query and gallery, by the pixels at model.image_size."""
    features, labels = {}, {}
    for split in ("query", "gallery"):
        table = read_split(options["data"], split, options["run"]["seed"])
        pixels = [resize(table.load(i), options["model"]["image_size"]).ravel() for i in range(len(table))]
        features[split], labels[split] = np.stack(pixels).astype(np.float32), table.columns["label"]
    return score(features, labels)


def score(features, labels):
    """Return the metrics of {"query", "gallery"} features (any length, made unit) and labels, by their cosine."""
    features = {split: check_features(rows, split) for split, rows in features.items()}
    ranks = rank(features["query"], features["gallery"], len(features["gallery"]))
    codes = np.unique(list(labels["query"]) + list(labels["gallery"]), return_inverse=True)[1].ravel()
    relevance = from_labels(codes[:len(ranks)], codes[len(ranks):])
    return dict(evaluate(ranks, relevance), num_gallery=relevance.num_gallery)


if __name__ == "__main__":
    main()
