"""Truncated offline diffusion, one sparse system per image by SciPy's solver: a yardstick of rerank_speed.py.

Yang, Hinami, Matsui, Ly and Satoh, "Efficient Image Retrieval via Decoupling Diffusion into Online and Offline
Processing", AAAI 2019, with the authors' settings: truncation 1000, k 50, alpha 0.99, gamma 3, and for each image at
most 20 steps of SciPy's conjugate gradients. Two forms: `scores`, in one thread and with as little else as possible,
and `scores_as_published`, which spends its time as the authors' public code does: a loop over images to find mutual
neighbours, a pool of threads for the systems, each image's scores sorted, a matrix built from triplets.
"""
import inspect

import joblib
import numpy as np
from scipy import sparse
from scipy.sparse import linalg
from sklearn import preprocessing

TOLERANCE = "rtol" if "rtol" in inspect.signature(linalg.cg).parameters else "tol"  # renamed in SciPy 1.12


def scores(ids, similarities, k=50, alpha=0.99, gamma=3):
    """Return each image's diffused scores on its nearest images, float32 CSR [n, n], rows L2-normalised.

    Args:
      ids, similarities: [n, truncation], each image's nearest, itself first.
    """
    laplacian = laplacian_matrix(ids[:, :k], similarities[:, :k], alpha, gamma)
    start = np.zeros(ids.shape[1])
    start[0] = 1
    solved = np.empty(ids.shape, np.float32)
    for i, near in enumerate(ids):
        solved[i] = solve(laplacian, near, start)
    solved /= np.linalg.norm(solved, axis=1, keepdims=True)
    indptr = np.arange(len(ids) + 1) * ids.shape[1]
    return sparse.csr_matrix((solved.ravel(), ids.ravel(), indptr), shape=(len(ids),) * 2)


def scores_as_published(ids, similarities, k=50, alpha=0.99, gamma=3):
    """Return the same; see above for the difference."""
    n, width = ids.shape
    mutual = np.array([np.isin(ids[near, :k], i).any(axis=1) for i, near in enumerate(ids[:, :k])])
    weights = np.where(mutual, similarities[:, :k], 0)
    laplacian = laplacian_matrix(ids[:, :k], weights, alpha, gamma)
    start = np.zeros(width)
    start[0] = 1

    def one(i):
        solved = solve(laplacian, ids[i], start)
        order = np.argsort(-solved)
        return solved[order], ids[i][order]

    found = joblib.Parallel(n_jobs=-1, prefer="threads")(joblib.delayed(one)(i) for i in range(n))
    values, columns = (np.concatenate(part) for part in zip(*found))
    result = sparse.csr_matrix((values, (np.repeat(np.arange(n), width), columns)), shape=(n, n), dtype=np.float32)
    return preprocessing.normalize(result)


def solve(laplacian, near, start):
    """Return the scores of an image's nearest, float64 [truncation], from its own part of the Laplacian."""
    return linalg.cg(laplacian[near][:, near], start, maxiter=20, **{TOLERANCE: 1e-6})[0]


def laplacian_matrix(ids, similarities, alpha, gamma):
    """Return I - alpha D^-1/2 A D^-1/2 of the mutual neighbours' affinity A = s^gamma, CSR [n, n]."""
    n, k = ids.shape
    weights = np.maximum(similarities, 0) ** gamma
    weights[ids == np.arange(n)[:, None]] = 0
    near = sparse.csr_matrix((weights.ravel(), ids.ravel(), np.arange(n + 1) * k), shape=(n, n))
    affinity = near.minimum(near.T)  # 0 where only one lists the other
    scale = sparse.diags(1 / np.sqrt(np.asarray(affinity.sum(axis=1)).ravel() + 1e-12))
    return (sparse.identity(n) - alpha * (scale @ affinity @ scale)).tocsr()
