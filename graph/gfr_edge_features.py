"""What GFR's edge network looks at: numbers about a pair of neighbours that mean the same in every gallery.

None of them names a class or a dimension of the features, so what is learned on some classes holds for others.
For a node a, whose nearest images have the similarities a_1 >= ... >= a_k, and one of these images, b:

    similarity     s = x_a . x_b
    ranks          log of the smaller and of the larger of b's rank for a and a's rank for b (k + 1 beyond the list)
    gaps           s minus the smaller and the larger of a_m and b_m, for m in GAPS
    density        mean and difference of the two lists' mean similarities
    shared         |A_m and B_m| / |A_m or B_m| of the m nearest of each, for m in SHARED, a and b not counted
    overlap        sum over shared neighbours c of exp(-(rank_a(c) + rank_b(c)) / t), over its maximum, for t in DECAYS

Ranks of a for b are counted in b's list of similarities, so a may be a query that no list holds. Every number is the
same for (a, b) and (b, a).
"""
import numpy as np

GAPS = [1, 5, 20]
SHARED = [3, 5, 10, 20, 40]
DECAYS = [3.0, 10.0]
COUNT = 5 + 2 * len(GAPS) + len(SHARED) + len(DECAYS)
BLOCK_VALUES = 2 ** 23  # of the table of ranks, [rows, gallery]
ROWS = 128  # rows at a time: rows x k x k ranks are gathered
SLACK = 1e-6  # x_a . x_b and x_b . x_a may differ by rounding; neither then outranks the other


def features(near, gallery_near):
    """Return the features of each node and each image in its list, float32 [m, k, COUNT].

    Args:
      near: (ids int [m, k], similarities float [m, k]) of the nodes, images or queries; best first, -1 pads.
      gallery_near: (ids [n, k], similarities [n, k]) of the gallery's images. Values at pads are without meaning.
    """
    ids, similarities = near
    result = np.empty(ids.shape + (COUNT,), np.float32)
    size = max(1, min(ROWS, BLOCK_VALUES // (len(gallery_near[0]) + 1)))
    density = np.mean(gallery_near[1], axis=1)
    for start in range(0, len(ids), size):
        block = slice(start, start + size)
        columns = (_pair(similarities[block], gallery_near[1][ids[block]])
                   + _density(similarities[block], density[ids[block]])
                   + _shared(ids[block], gallery_near[0]))
        result[block] = np.stack(columns, axis=2)
    return result


def _pair(own, others):
    """Return similarity, ranks and gaps; own [b, k], others [b, k, k] the similarities in the images' own lists."""
    k = own.shape[1]
    rank = np.broadcast_to(np.arange(1, k + 1), own.shape)
    reverse = 1 + np.sum(others > own[:, :, None] + SLACK, axis=2)
    columns = [own, np.log(np.minimum(rank, reverse)), np.log(np.maximum(rank, reverse))]
    for m in GAPS:
        a, b = own[:, min(m, k) - 1][:, None], others[:, :, min(m, k) - 1]
        columns += [own - np.minimum(a, b), own - np.maximum(a, b)]
    return columns


def _density(own, others):
    mean = np.mean(own, axis=1, keepdims=True)
    return [(mean + others) / 2, np.abs(mean - others)]


def _shared(ids, gallery_ids):
    """Return shares and overlaps, from the rank for a of everything in b's list."""
    k = ids.shape[1]
    rows = np.arange(len(ids))[:, None]
    table = np.full((len(ids), len(gallery_ids) + 1), k + 1, np.int16)
    table[rows, ids] = np.arange(1, k + 1)
    table[:, -1] = k + 1  # where pads, -1, were written: nothing is shared there
    ranks = table[rows[:, :, None], gallery_ids[ids]]
    columns = []
    for m in SHARED:
        m = min(m, k)
        common = np.sum(ranks[:, :, :m] <= m, axis=2)
        columns.append(common / (2 * m - common))
    for decay in DECAYS:
        weight = np.exp(-np.arange(k + 2) / decay)
        weight[k + 1] = 0
        columns.append(weight[ranks] @ weight[1:k + 1] / np.sum(weight[1:k + 1] ** 2))
    return columns
