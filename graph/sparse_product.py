"""Products of a sparse matrix with blocks of columns, several rows at a time, by compiled loops or by SciPy.

    advance:   previous <- previous + omega (M current + right - previous)

One pass over memory does a product and all that an iteration does with it. Four stored values of a row are taken at a
time, so that the sums are loaded and stored once for four products (sparse_kernel.py).
"""
import numpy as np

from slim_retrieval.graph.compiled import compiled, import_numba, run

PARTS = 4  # parts of a matrix for each thread: one that is held up does not hold up all
CACHED = 2**22  # bytes of a block below which rows are not asked for in advance: they are in the processor's cache
AHEAD = 32  # stored values between the one that is added up and the one whose row is asked for


class Rows:
    """A float32 CSR matrix M, cut into parts of about as many stored values each, that threads work on.

    Args:
      matrix: CSR float32 [n, n], indices sorted or not.
      pool: an executor, such as compiled.workers(), or None: the thread that calls does all.
    """

    def __init__(self, matrix, pool, half=False):
        self.n, self.pool = matrix.shape[0], pool
        count = 1 if pool is None else PARTS * pool._max_workers
        cuts = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, count + 1)[1:-1])
        self.bounds = [(int(a), int(b)) for a, b in zip(np.r_[0, cuts], np.r_[cuts, self.n]) if a < b]
        self.step = _kernel("uint16" if half else "float32")
        self.dtype = np.float16 if half and self.step is not None else np.float32
        if self.step is None:
            self.parts = [matrix[first:last] for first, last in self.bounds]
        else:
            self.arrays = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False),
                           matrix.data.astype(np.float32, copy=False))

    def advance(self, omega, right, current, previous, squares=False):
        """Change `previous` in place, as above; return the column sums of (M current + right - current)^2 or None.

        A row of M without values is set to its right side: no polynomial of a solver scales it.

        Args:
          omega: a number; 1 leaves nothing of `previous`.
          right, current, previous: float32 [n, w], C order; `right` may have no rows: zeros.
          squares: whether the sums, float64 [w], are wanted.
        """
        sums = np.zeros((len(self.bounds), current.shape[1] if squares else 0))
        step = self._by_scipy if self.step is None else self._by_numba
        run(self.pool, lambda part: step(part, np.float32(omega), right, current, previous, sums[part]),
            range(len(self.bounds)))
        return sums.sum(axis=0) if squares else None

    def product(self, block):
        """Return M block, float32 [n, w], from float32 [n, w] in C order."""
        result = np.empty((self.n, block.shape[1]), np.float32)
        self.advance(1, np.empty((0, block.shape[1]), np.float32), block, result)
        return result

    def _by_numba(self, part, omega, right, current, previous, sums):
        first, last = self.bounds[part]
        ahead = AHEAD if current.nbytes > CACHED else 0
        blocks = [b.view(np.uint16) if self.dtype == np.float16 else b for b in (right, current, previous)]
        self.step(*self.arrays, ahead, first, last, omega, *blocks, sums)

    def _by_scipy(self, part, omega, right, current, previous, sums):
        first, last = self.bounds[part]
        result = self.parts[part] @ current
        if len(right):
            result += right[first:last]
        if len(sums):
            difference = result - current[first:last]
            np.einsum("ij,ij->j", difference, difference, out=sums, dtype=np.float64, casting="unsafe")
        if omega == 1:
            previous[first:last] = result
            return
        alone = np.diff(self.parts[part].indptr) == 0
        result -= previous[first:last]
        result *= np.where(alone, np.float32(1), omega)[:, None]
        previous[first:last] += result


def _kernel(block):
    """Return the compiled loop for blocks of "float32" or "uint16", or None where Numba is not installed."""
    if import_numba() is None:
        return compiled(None)  # which says so
    from slim_retrieval.graph import sparse_kernel
    return compiled(sparse_kernel.advance, sparse_kernel.signature(block))
