"""Rankings: the gallery's ids for each query, best first."""
from slim_retrieval.common import jobs
from slim_retrieval.graph import knn, knn_tasks


def rank(queries, gallery, k, block=1024):
    """Return int32 [q, k]: for each query the ids of the k best gallery rows, best first, -1 pads.

    Args:
      queries: [q, d] float32, rows L2-normalised.
      gallery: [n, d] float32, rows L2-normalised; may be memory-mapped.
      k: depth; beyond n the rest is -1.
      block: queries scored at a time.
    """
    if jobs.parallel() and len(queries) > knn_tasks.ROWS:
        return knn_tasks.rank(queries, gallery, k, block)
    return knn.search(queries, gallery, k, block)[0]


def default_depth(num_gallery):
    """Return how deep a ranking is unless told: the whole gallery up to 10,000 images, 1,000 beyond."""
    return num_gallery if num_gallery <= 10000 else 1000


def rank_gallery(estimator, gallery, k):
    """Return int32 [n, k]: the ranking for each gallery image as a query, itself left out by its id.

    Args:
      estimator: a fitted method (see methods.py).
      gallery: the features that it was fitted on.
      k: depth; beyond n - 1 the rest is -1.
    """
    if hasattr(estimator, "rank_gallery"):
        return estimator.rank_gallery(k)
    if estimator.gallery_ is not gallery:
        return knn.neighbors(estimator.gallery_, k)[0]
    # The method changes queries alone.
    ids = knn.search(estimator.transform(gallery), gallery, k + 1)[0]
    return ids[knn.without_self(ids)].reshape(len(ids), k)
