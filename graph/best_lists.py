"""Each row's best others while products of any rows and columns are offered, in compiled loops."""
import numpy as np

from slim_retrieval.common import memory
from slim_retrieval.graph.compiled import compiled, run

PARTS = 4  # of a block for each thread
FEWEST = 64  # rows of a part
NONE = np.float32(-3)  # below every similarity
STRIPES = 64  # parts of the lists that threads take over in `offer_both`
OFFER = "void(float32[:, ::1], int32[::1], int32[::1], int64, boolean, float32[:, ::1], int32[:, ::1])"
COUNT = ("void(float32[:, ::1], int32[::1], int32[::1], boolean, float32[:, ::1], int64, int64[::1], int32[::1], "
         "int32[::1], float32[::1])")


class Lists:
    """The k best others of each of n rows.

    Args:
      n: rows.
      k: others kept of each.
      same: whether rows and others are of one set: a row is then never its own other, and a pair may be offered more
        than once.

    Attributes:
      ids, similarities: int32 and float32 [n, k], best first; pads are -1 and NONE. Which of equal ones stay depends on
        the order of the offers, and on nothing else.
    """

    def __init__(self, n, k, same=False):
        self.ids, self.similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
        self.ids[:], self.similarities[:] = -1, NONE
        self.same, self._offer = same, compiled(_offer, OFFER)

    def offer(self, products, rows, columns, pool):
        """Offer the columns to the rows' lists.

        Args:
          products: function that returns some rows of the products, float32 [last - first, b], given (first, last).
          rows, columns: int [a], int [b], what they are; none twice.
          pool: an executor.
        """
        rows, columns = _ids(rows), _ids(columns)

        def some(part):
            self._offer(products(*part), rows[part[0]:part[1]], columns, 0, self.same, self.similarities, self.ids)
        run(pool, some, _parts(len(rows), pool))

    def offer_both(self, blocks, pool):
        """Offer the columns of each block to its rows' lists and the rows to its columns' lists; `same` holds.

        A row may be in several blocks, and each thread takes a block: so what exceeds the last of its list is written
        down first, sorted by the list, and then taken in, by one thread for each part of the lists. Lists that have
        risen meanwhile take in no more of it than they would have.

        Args:
          blocks: list of (function that returns the products, float32 [a, b]; int [a]; int [b]). All products are held
            at once, and for each that exceeds what it has to twelve bytes, or twice that where both do.
        """
        kernel, width = compiled(_count, COUNT), -(-len(self.ids) // STRIPES)
        blocks = [(products, _ids(rows), _ids(columns)) for products, rows, columns in blocks]
        counts, nothing = np.zeros((len(blocks), STRIPES), np.int64), _room(0)

        def count(number):
            products, rows, columns = blocks[number]
            values = products()
            kernel(values, rows, columns, False, self.similarities, width, counts[number], *nothing)
            return values

        products = list(pool.map(count, range(len(blocks))))
        ends = np.cumsum(counts.T).reshape(counts.T.shape)  # part by part, and in each block by block
        places, found = np.ascontiguousarray((ends - counts.T).T), _room(int(ends[-1, -1]))

        def write(number):
            kernel(products[number], *blocks[number][1:], True, self.similarities, width, places[number], *found)

        run(pool, write, range(len(blocks)))
        cuts = [0] + ends[:, -1].tolist()

        def take_in(part):
            nodes, others, values = (array[part[0]:part[1]] for array in found)
            self._offer(values[:, None], nodes, others, 1, True, self.similarities, self.ids)
        run(pool, take_in, list(zip(cuts[:-1], cuts[1:])))


def _ids(ids):
    return np.ascontiguousarray(ids, np.int32)


def _room(size):
    """Return room for offers: lists, others, similarities."""
    return np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)


def _parts(length, pool):
    """Return ranges of about equal length, some for each thread, none of a few rows only."""
    count = max(1, min(PARTS * pool._max_workers, length // FEWEST))
    cuts = np.linspace(0, length, count + 1).astype(int)
    return [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:])]


def _offer(products, rows, columns, step, same, similarities, ids):
    """Offer a block's columns to the lists of its rows; those of row r begin at columns[step * r]."""
    worst = ids.shape[1] - 1
    for r in range(len(rows)):
        node = rows[r]
        for start in range(0, products.shape[1], 32):
            stop = min(start + 32, products.shape[1])
            bound, hits = similarities[node, worst], 0
            for c in range(start, stop):  # first without a branch: most products are not among the best
                hits += products[r, c] > bound
            if hits == 0:
                continue
            for c in range(start, stop):
                other, value = columns[step * r + c], products[r, c]
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


def _count(products, rows, columns, writing, similarities, width, places, nodes, others, values):
    """Count what exceeds the last of its list, for each part of the lists in `places`; or write it there."""
    worst = similarities.shape[1] - 1
    bounds = np.empty(len(columns), np.float32)
    for c in range(len(columns)):
        bounds[c] = similarities[columns[c], worst]
    for r in range(len(rows)):
        row, bound = rows[r], similarities[rows[r], worst]
        for start in range(0, len(columns), 32):
            stop = min(start + 32, len(columns))
            hits = 0
            for c in range(start, stop):
                hits += products[r, c] > min(bound, bounds[c])
            if hits == 0:
                continue
            for c in range(start, stop):
                column, value = columns[c], products[r, c]
                if row == column:
                    continue
                for turned in range(2):
                    if value > (bounds[c] if turned else bound):
                        node, other = (column, row) if turned else (row, column)
                        if writing:
                            place = places[node // width]
                            nodes[place], others[place], values[place] = node, other, value
                        places[node // width] += 1
