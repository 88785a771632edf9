"""Cells: a gallery cut into parts by k-means."""
import numpy as np

BATCH = 4096  # images per step of the mini-batch k-means
MANY = 64  # from here on the first centres are random rows: k-means++ takes far longer than the steps that follow it


def cells(rows, count, seed):
    """Return the cell of each row, int [n], by seeded mini-batch k-means.

    Args:
      rows: float32 [n, d]; may be memory-mapped.
      count: number of cells; one may stay empty.
      seed: of the first centres and of the batches.
    """
    from sklearn.cluster import MiniBatchKMeans  # here: scikit-learn takes a second to import
    first = {"init": "random", "n_init": 1} if count >= MANY else {"init": "k-means++", "n_init": 3}
    kmeans = MiniBatchKMeans(count, batch_size=BATCH, random_state=seed, **first)
    return kmeans.fit_predict(np.ascontiguousarray(rows))
