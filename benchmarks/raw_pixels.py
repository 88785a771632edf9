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
    config = configuration.resolve(parser.parse_args().config)
    options = configuration.to_plain(config)
    features, labels = {}, {}
    for split in ("query", "gallery"):
        table = read_split(options["data"], split, options["run"]["seed"])
        pixels = [resize(table.load(i), options["model"]["image_size"]).ravel() for i in range(len(table))]
        features[split], labels[split] = check_features(np.stack(pixels).astype(np.float32), split), \
            table.columns["label"]
    ranks = rank(features["query"], features["gallery"], len(features["gallery"]))
    result = evaluate(ranks, from_labels(labels["query"], labels["gallery"]), options["evaluation"]["ap"])
    print("raw pixels, cosine: mAP {:.4f}, Recall@1 {:.4f}, {} queries, {} gallery images".format(
        result["mAP"], result["recall_at_1"], len(ranks), len(features["gallery"])))


if __name__ == "__main__":
    main()
