"""Which gallery images are right for which query: from labels, or from lists of positives and junk.

Both forms answer for a block of queries at a time, so that nothing of size queries x gallery is ever made.
"""
from typing import Callable, NamedTuple

import numpy as np

from slim_retrieval.common.errors import InputError


class Relevance(NamedTuple):
    """What is right for each query.

    Attributes:
      num_positives: int64 [num_queries], positives in the whole gallery.
      num_gallery: number of gallery images.
      judge: function (rows int [b], ranks int [b, k] with -1 pads) -> (hits bool [b, k], junk bool [b, k] or None);
        `rows` says which queries the rankings belong to. A pad is neither.
    """
    num_positives: np.ndarray
    num_gallery: int
    judge: Callable


def from_labels(query_labels, gallery_labels, query_images=None, gallery_images=None, junk=None):
    """Return the relevance "same label"; where the gallery holds the query's own image, that one is junk.

    Args:
      query_labels, gallery_labels: int [num_queries] and [num_gallery], codes >= 0 with one meaning in both.
      query_images, gallery_images: None, or codes >= 0: an image with the query's code is junk. Codes of the images
        themselves make the query's own image junk, codes of (label, camera) what the query's camera saw.
      junk: bool [num_gallery] or None: images that are junk for every query.
    """
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    junk = np.zeros(len(gallery_labels), bool) if junk is None else np.asarray(junk)
    own = query_images is not None and bool(np.isin(query_images, gallery_images).any())
    num_positives = _count_equal(query_labels, gallery_labels[~junk])
    if own:
        query_images, gallery_images = np.asarray(query_images), np.asarray(gallery_images)
        width = max(query_labels.max(), gallery_labels.max()) + 1
        num_positives = num_positives - _count_equal(query_images * width + query_labels,
                                                     (gallery_images * width + gallery_labels)[~junk])
        gallery_images = np.append(gallery_images, -1)
    labels = np.append(np.where(junk, -1, gallery_labels), -1)  # the last one is what a pad reaches
    is_junk = np.append(junk, False)

    def judge(rows, ranks):
        ranks = _as_index(ranks)
        hits = labels[ranks] == query_labels[rows, np.newaxis]
        removed = is_junk[ranks] if junk.any() else None
        if own:
            same = gallery_images[ranks] == query_images[rows, np.newaxis]
            removed = same if removed is None else removed | same
            hits &= ~same
        return hits, removed

    return Relevance(num_positives, len(gallery_labels), judge)


def from_lists(positives, junk, num_gallery):
    """Return the relevance that lists state, as benchmarks with hand-made ground truth do.

    Args:
      positives: for each query, gallery ids that are right.
      junk: for each query, gallery ids that are removed from its ranking; or None.
      num_gallery: number of gallery images.

    Raises:
      InputError: lists of different lengths, an id outside the gallery, or an id both positive and junk.
    """
    junk = junk if junk is not None else [[] for _ in positives]
    if len(positives) != len(junk):
        raise InputError("the ground truth lists positives for {} queries and junk for {}; it must list both for each "
                         "query".format(len(positives), len(junk)))
    right, removed = _keys(positives, num_gallery, "positive"), _keys(junk, num_gallery, "junk")
    both = removed[np.searchsorted(right, removed) < np.searchsorted(right, removed, "right")]
    if both.size:
        raise InputError("the ground truth calls gallery image {} both positive and junk for query {}".format(
            both[0] % num_gallery, both[0] // num_gallery))
    starts, ids = _lists(right, len(positives), num_gallery)
    junk_starts, junk_ids = _lists(removed, len(positives), num_gallery)

    def judge(rows, ranks):
        ranks, kinds = _as_index(ranks), np.empty(ranks.shape, np.int8)
        marks = np.zeros(num_gallery + 1, np.int8)  # of one query; the last one is what a pad reaches
        for i, row in enumerate(rows):
            mine = ids[starts[row]:starts[row + 1]]
            not_counted = junk_ids[junk_starts[row]:junk_starts[row + 1]]
            marks[mine], marks[not_counted] = 1, 2
            np.take(marks, ranks[i], mode="wrap", out=kinds[i])
            marks[mine], marks[not_counted] = 0, 0
        return kinds == 1, (kinds == 2 if junk_ids.size else None)

    return Relevance(np.diff(starts), num_gallery, judge)


def rearranged(relevance, queries, gallery):
    """Return the relevance of the same images in another order, with fewer queries or with more gallery images.

    Args:
      relevance: a `Relevance`.
      queries: int [m]; which of its queries each new one is.
      gallery: int [n]; which of its gallery images each new one is, -1 for one that it does not have: right for none.
    """
    ids = np.append(gallery, -1)  # the last one is what a pad reaches
    return Relevance(relevance.num_positives[queries], len(gallery),
                     lambda rows, ranks: relevance.judge(queries[rows], ids[_as_index(ranks)]))


def _lists(keys, num_queries, num_gallery):
    """Return (starts, ids): those of query q are ids[starts[q]:starts[q + 1]]."""
    return np.searchsorted(keys, np.arange(num_queries + 1) * num_gallery), keys % max(num_gallery, 1)


def _as_index(ranks):
    return ranks if ranks.dtype.kind == "i" else ranks.astype(np.int64)


def _count_equal(wanted, codes):
    """Return how often each of `wanted` occurs in `codes`, int64 [len(wanted)]."""
    values, counts = np.unique(codes, return_counts=True)
    if not values.size:
        return np.zeros(len(wanted), np.int64)
    places = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[places] == wanted, counts[places], 0)


def _keys(lists, num_gallery, what):
    """Return the pairs (query, id) as sorted unique numbers query * num_gallery + id."""
    lengths = [len(ids) for ids in lists]
    ids = np.concatenate([np.zeros(0, np.int64)] + [np.asarray(ids, np.int64) for ids in lists])
    queries = np.repeat(np.arange(len(lists), dtype=np.int64), lengths)
    outside = np.flatnonzero((ids < 0) | (ids >= num_gallery))
    if outside.size:
        raise InputError("{} id {} of query {} is not in 0..{}: the ground truth does not belong to this gallery of {} "
                         "images".format(what, ids[outside[0]], queries[outside[0]], num_gallery - 1, num_gallery))
    keys = queries * num_gallery + ids
    if (keys[1:] <= keys[:-1]).any():  # most ground truths list each query's ids in order
        keys = np.sort(keys)
        keys = keys[np.append(True, keys[1:] > keys[:-1])]
    return keys
