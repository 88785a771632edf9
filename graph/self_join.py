"""Each node's nearest others from one pass over half of all pairs: a product serves both of its nodes.

Products of blocks of nodes arrive one after the other; each node keeps its k best and the smallest of all.
"""
import numpy as np
from threadpoolctl import threadpool_limits

from slim_retrieval.common import memory
from slim_retrieval.common.progress import progress
from slim_retrieval.graph import keys
from slim_retrieval.graph.compiled import compiled, run, workers

BLOCK, FEWEST = 1024, 128  # nodes on a side of the blocks of products, at most and, but for the last, at least
FEWEST_BLOCKS = 32  # where that leaves the choice: half as many threads have work
MOST = 128  # neighbours up to which sorted lists are quick to insert into
PARTS = 4  # of a block for each thread
SIGNATURE = ("void(float32[:, ::1], int64, int64, int64, int64, int64, int64, boolean, float32[:, ::1], "
             "int32[:, ::1], float32[::1], float32[::1])")


class Nearest:
    """The k best others of each of n nodes and its smallest similarity to any, while products are offered.

    Args:
      n: nodes.
      k: others kept of each.
      pool: an executor, such as compiled.workers(), whose threads share what is offered; None: the calling thread
        takes all, and several may call at once that have no node in common.

    Attributes:
      ids, similarities: int32 and float32 [n, k], best first, equal ones by the smaller id; pads are -1 and -1.
      least: float32 [n], the smallest similarity that was offered; 1 where none was.
    """

    def __init__(self, n, k, pool):
        self.ids, self.similarities = memory.empty((n, k), np.int32), memory.empty((n, k))
        self.ids[:], self.similarities[:] = -1, -1
        self.least = np.ones(n, np.float32)
        self._bounds = np.full(n, -1, np.float32)  # the last similarity of each list: what another must reach
        self._pool, self._kernel = pool, compiled(_offer, SIGNATURE)

    def start(self, ids, similarities, least):
        """Take over the lists of the first nodes, sorted likewise."""
        rows, width = slice(0, len(ids)), min(ids.shape[1], self.ids.shape[1])
        self.ids[rows, :width], self.similarities[rows, :width] = ids[:, :width], similarities[:, :width]
        self.least[rows], self._bounds[rows] = least, self.similarities[rows, -1]

    def offer(self, products, first_row, first_column):
        """Offer the similarities of the nodes from first_row on to those from first_column on, float32 [a, b].

        Both sides take part; where the blocks are the same nodes, one. A node is never its own neighbour. No pair may
        be offered twice.
        """
        for by_columns in (False, True)[:1 if first_row == first_column else 2]:
            if self._kernel is None:
                self._offer_numpy(products.T if by_columns else products,
                                  *((first_column, first_row) if by_columns else (first_row, first_column)))
            else:
                self._offer_compiled(products, first_row, first_column, by_columns)

    def _offer_compiled(self, products, first_row, first_column, by_columns):
        parts = 1 if self._pool is None else PARTS * self._pool._max_workers
        cuts = np.linspace(0, products.shape[by_columns], parts + 1).astype(int)
        ranges = [(0, len(products), a, b) if by_columns else (a, b, 0, products.shape[1])
                  for a, b in zip(cuts[:-1], cuts[1:])]
        run(self._pool, lambda part: self._kernel(products, *part, first_row, first_column, by_columns,
                                                  self.similarities, self.ids, self._bounds, self.least), ranges)

    def _offer_numpy(self, products, first_row, first_column):
        rows, k = slice(first_row, first_row + len(products)), self.ids.shape[1]
        self.least[rows] = np.minimum(self.least[rows], products.min(axis=1))
        others = np.arange(first_column, first_column + products.shape[1])
        offered = keys.encode(np.clip(products, -1, 1), others)
        offered[np.arange(rows.start, rows.stop)[:, None] == others] = keys.MISSING
        known = keys.encode(self.similarities[rows], self.ids[rows].astype(np.int64))
        known[self.ids[rows] < 0] = keys.MISSING
        merged = np.concatenate([known, offered], axis=1)
        merged.partition(k - 1, axis=1)
        self.ids[rows], self.similarities[rows] = keys.decode(np.sort(merged[:, :k], axis=1))


def join(nodes, k):
    """Return (ids, similarities, least): each node's k nearest others and its smallest similarity to any, itself too.

    Equal similarities are ordered by the smaller id, also where they decide who is left out.

    Args:
      nodes: float32 [n, d], rows L2-normalised; may be memory-mapped.
      k: others kept, at least 1; beyond n - 1 the rest is padded.
    """
    # Each thread multiplies and sorts by itself; no two have a block in common.
    with threadpool_limits(1, user_api="blas"), workers() as pool:
        nearest, take = Nearest(len(nodes), k, None), memory.scattered(nodes)
        # Of the nodes alone, and not of the threads: so products are rounded alike on all machines of a kind.
        size = int(np.clip(len(nodes) // FEWEST_BLOCKS, FEWEST, BLOCK))
        blocks = [slice(start, min(start + size, len(nodes))) for start in range(0, len(nodes), size)]

        def compare(pair):
            rows, columns = (blocks[number] for number in pair)
            nearest.offer(take(rows) @ take(columns).T, rows.start, columns.start)

        for pairs in progress(rounds(len(blocks)), what="pairs of images", unit="round"):
            run(pool, compare, pairs)
    return nearest.ids, nearest.similarities, nearest.least


def rounds(count):
    """Return lists of pairs: each of `count` things with itself, then, as in a tournament, each with each other once.

    Nothing is in two pairs of one list.
    """
    ring, result = list(range(count + count % 2)), [[(number, number) for number in range(count)]]
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        result.append([(a, b) for a, b in zip(ring[:half], reversed(ring[half:])) if max(a, b) < count])
        ring[1:] = ring[-1:] + ring[1:-1]  # all but the first move on by one place
    return result


def extend(gallery, queries, near, least, k, products=None):
    """Return what `join` returns of gallery and queries together, nodes n..n+q-1, from the gallery's own.

    Args:
      gallery: float32 [n, d], rows L2-normalised; may be memory-mapped.
      queries: float32 [q, d], likewise.
      near, least: (ids, similarities), at least min(k, n - 1) wide, and the smallest, as from `join` of the gallery.
      k: others kept; beyond n + q - 1 the rest is padded.
      products: float32 [q, n] that is filled with the queries' similarities to the gallery, or None.
    """
    n, q = len(gallery), len(queries)
    with workers() as pool:
        nearest = Nearest(n + q, k, pool)
        nearest.start(*near, least)
        for start in progress(range(0, q, BLOCK), what="pairs with queries", unit="block"):
            rows = np.ascontiguousarray(queries[start:start + BLOCK])
            for first in range(0, n, BLOCK):
                block = rows @ gallery[first:first + BLOCK].T
                nearest.offer(block, n + start, first)
                if products is not None:
                    products[start:start + BLOCK, first:first + BLOCK] = block
                memory.release(gallery)
            for first in range(0, start + len(rows), BLOCK):
                nearest.offer(rows @ queries[first:first + BLOCK].T, n + start, n + first)
    return nearest.ids, nearest.similarities, nearest.least


def least_similarities(nodes, known=()):
    """Return each node's smallest similarity to any node, float32 [n], in one pass over half of all pairs.

    Args:
      nodes: float32 [n, d] or joint.Nodes.
      known: what this returned for the first nodes alone; their pairs are left out.
    """
    n = len(nodes)
    least = np.ones(n, np.float32)
    least[:len(known)] = known
    for start in progress(range(len(known), n, BLOCK), what="largest distances", unit="block"):
        stop = min(start + BLOCK, n)
        for first in range(0, stop, BLOCK):
            last = min(first + BLOCK, stop)
            products = nodes[start:stop] @ nodes[first:last].T
            least[start:stop] = np.minimum(least[start:stop], products.min(axis=1))
            least[first:last] = np.minimum(least[first:last], products.min(axis=0))
    return least


def _offer(products, row, last_row, column, last_column, first_row, first_column, by_columns, similarities, ids, bounds,
           least):
    """Offer a part of a block of products to the lists of its rows' nodes, or to those of its columns' nodes."""
    worst = ids.shape[1] - 1
    for r in range(row, last_row):
        for start in range(column, last_column, 64):
            stop = min(start + 64, last_column)
            hits = 0  # first without a branch: most products are not among the best
            if by_columns:
                for c in range(start, stop):
                    node = first_column + c
                    hits += products[r, c] >= bounds[node]
                    least[node] = min(least[node], products[r, c])
            else:
                bound, low = bounds[first_row + r], least[first_row + r]
                for c in range(start, stop):
                    hits += products[r, c] >= bound
                    low = min(low, products[r, c])
                least[first_row + r] = low
            if hits == 0:
                continue
            for c in range(start, stop):
                node, other = first_row + r, first_column + c
                if by_columns:
                    node, other = other, node
                value = min(max(products[r, c], np.float32(-1)), np.float32(1))
                if value < bounds[node] or node == other:
                    continue
                place = worst + 1
                while place > 0 and (ids[node, place - 1] < 0 or similarities[node, place - 1] < value or
                                     (similarities[node, place - 1] == value and ids[node, place - 1] > other)):
                    place -= 1
                for p in range(worst, place, -1):
                    ids[node, p], similarities[node, p] = ids[node, p - 1], similarities[node, p - 1]
                if place <= worst:
                    ids[node, place], similarities[node, place] = other, value
                    bounds[node] = similarities[node, worst]
