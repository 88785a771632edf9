"""Rankings: the gallery's ids for each query, best first."""
from slim_retrieval.graph import knn


def rank(queries, gallery, k, block=1024):
    """Return int32 [q, k]: for each query the ids of the k best gallery rows, best first, -1 pads.

    Args:
      queries: [q, d] float32, rows L2-normalised.
      gallery: [n, d] float32, rows L2-normalised; may be memory-mapped.
      k: depth; beyond n the rest is -1.
      block: queries scored at a time.
    """
    return knn.search(queries, gallery, k, block)[0]


def default_depth(num_gallery):
    """Return how deep a ranking is unless told: the whole gallery up to 10,000 images, 1,000 beyond."""
    return num_gallery if num_gallery <= 10000 else 1000
