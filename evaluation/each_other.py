"""Metrics of images that search each other: every image is a query, all the others are its gallery."""
from slim_retrieval.evaluation import metrics
from slim_retrieval.evaluation.ground_truth import Index, classes


def score(ranks, paths, labels, ap="step", recall_at=(1,)):
    """Return what `metrics.evaluate` does, an image being right when its label is the query's.

    Args:
      ranks: int [n, k], rows of the images found for each image, best first, -1 pads. The image itself may be among
        them; it is junk.
      paths, labels: n texts.
    """
    index = Index(list(paths), list(labels))
    return metrics.evaluate(ranks, classes(index, index).relevance, ap, recall_at)
