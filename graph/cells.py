"""Cells: a gallery cut into parts by k-means."""
import numpy as np

BATCH = 4096  # images per step of the mini-batch k-means


def cells(rows, count, seed):
    """Return the cell of each row, int [n], by seeded mini-batch k-means.

    Args:
      rows: float32 [n, d]; may be memory-mapped.
      count: number of cells; one may stay empty.
      seed: of the first centres and of the batches.
    """
    from sklearn.cluster import MiniBatchKMeans  # here: scikit-learn takes a second to import
    kmeans = MiniBatchKMeans(count, batch_size=BATCH, n_init=3, random_state=seed)
    return kmeans.fit_predict(np.ascontiguousarray(rows))
