"""Each row's best others while products of any rows and columns are offered, in compiled loops."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph.compiled import compiled, run

PARTS = 4  # of a block for each thread
FEWEST = 64  # rows of a part
NONE = np.float32(-3)  # below every similarity
SIGNATURE = ("void(float32[:, ::1], int64, int64, int64, int64, int32[::1], int32[::1], boolean, boolean, "
             "float32[:, ::1], int32[:, ::1])")


class Lists:
    """The k best others of each of n rows.

    Args:
      n: rows.
      k: others kept of each.
      same: whether rows and others are of one set: a row is then never its own other, and a pair may be offered more
        than once.

    Attributes:
      ids, similarities: int32 and float32 [n, k], best first; pads are -1 and NONE. Which of equal ones stay depends on
        the order of the offers.
    """

    def __init__(self, n, k, same=False):
        self.ids, self.similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
        self.ids[:], self.similarities[:] = -1, NONE
        self.same, self._kernel = same, compiled(_offer, SIGNATURE)

    def offer(self, products, rows, columns, pool, both=False):
        """Offer the columns to the rows' lists, and, where `both`, the rows to the columns' lists.

        Args:
          products: function that returns some rows of the products, float32 [last - first, b], given (first, last).
          rows, columns: int [a], int [b], what they are; none twice.
          pool: an executor.
        """
        rows, columns = (np.ascontiguousarray(ids, np.int32) for ids in (rows, columns))
        shape = len(rows), len(columns)
        whole = np.empty(shape, np.float32)

        def by_rows(part):
            whole[part[0]:part[1]] = products(*part)
            self._run(whole, part + (0, shape[1]), rows, columns, False)

        run(pool, by_rows, _parts(shape[0], pool))
        if both:
            run(pool, lambda part: self._run(whole, (0, shape[0]) + part, rows, columns, True),
                _parts(shape[1], pool))

    def _run(self, products, part, rows, columns, by_columns):
        self._kernel(products, *part, rows, columns, by_columns, self.same, self.similarities, self.ids)


def _parts(length, pool):
    """Return ranges of about equal length, some for each thread, none of a few rows only."""
    count = max(1, min(PARTS * pool._max_workers, length // FEWEST))
    cuts = np.linspace(0, length, count + 1).astype(int)
    return [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:])]


def _offer(products, first_row, last_row, first_column, last_column, rows, columns, by_columns, same, similarities,
           ids):
    """Offer a part of a block to the lists of its rows, or to those of its columns."""
    worst = ids.shape[1] - 1
    bounds = np.empty(last_column - first_column, np.float32)
    if by_columns:
        for c in range(first_column, last_column):
            bounds[c - first_column] = similarities[columns[c], worst]
    for r in range(first_row, last_row):
        for start in range(first_column, last_column, 32):
            stop = min(start + 32, last_column)
            hits = 0  # first without a branch: most products are not among the best
            if by_columns:
                for c in range(start, stop):
                    hits += products[r, c] > bounds[c - first_column]
            else:
                bound = similarities[rows[r], worst]
                for c in range(start, stop):
                    hits += products[r, c] > bound
            if hits == 0:
                continue
            for c in range(start, stop):
                node, other = (columns[c], rows[r]) if by_columns else (rows[r], columns[c])
                value = products[r, c]
                if value <= similarities[node, worst] or (same and node == other):
                    continue
                known = False
                if same:
                    for p in range(worst + 1):
                        known = known or ids[node, p] == other
                if known:
                    continue
                place = worst
                while place > 0 and similarities[node, place - 1] < value:
                    similarities[node, place] = similarities[node, place - 1]
                    ids[node, place] = ids[node, place - 1]
                    place -= 1
                similarities[node, place], ids[node, place] = value, other
                if by_columns:
                    bounds[c - first_column] = similarities[node, worst]
