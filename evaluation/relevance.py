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


def from_labels(query_labels, gallery_labels, query_images=None, gallery_images=None):
    """Return the relevance "same label"; where the gallery holds the query's own image, that one is junk.

    Args:
      query_labels, gallery_labels: int [num_queries] and [num_gallery], codes >= 0 with one meaning in both.
      query_images, gallery_images: None, or codes >= 0 of the images themselves: equal code, same image.
    """
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    num_positives = _count_equal(query_labels, gallery_labels)
    own = query_images is not None and np.isin(query_images, gallery_images).any()
    if own:
        width = max(query_labels.max(), gallery_labels.max()) + 1
        num_positives = num_positives - _count_equal(query_images * width + query_labels,
                                                     gallery_images * width + gallery_labels)

    def judge(rows, ranks):
        valid = ranks >= 0
        junk = valid & (gallery_images[ranks] == query_images[rows, np.newaxis]) if own else None
        hits = valid & (gallery_labels[ranks] == query_labels[rows, np.newaxis])
        return (hits & ~junk if own else hits), junk

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
    junk = [[] for _ in positives] if junk is None else junk
    if len(positives) != len(junk):
        raise InputError("ground truth has positives for {} queries and junk for {}; they must be equally many".format(
            len(positives), len(junk)))
    right, removed = _keys(positives, num_gallery, "positive"), _keys(junk, num_gallery, "junk")
    both = np.intersect1d(right, removed)
    if both.size:
        raise InputError("ground truth calls gallery image {1} both positive and junk for query {0}; correct it".format(
            *divmod(int(both[0]), num_gallery)))

    def judge(rows, ranks):
        keys = rows[:, np.newaxis].astype(np.int64) * num_gallery + ranks
        valid = ranks >= 0
        return valid & _contains(right, keys), (valid & _contains(removed, keys) if removed.size else None)

    return Relevance(np.bincount(right // num_gallery, minlength=len(positives)), num_gallery, judge)


def _count_equal(wanted, codes):
    """Return how often each of `wanted` occurs in `codes`, int64 [len(wanted)]."""
    values, counts = np.unique(codes, return_counts=True)
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
    return np.unique(queries * num_gallery + ids)


def _contains(keys, wanted):
    """Return whether each of `wanted` is among the sorted `keys`, bool of wanted's shape."""
    if not keys.size:
        return np.zeros(wanted.shape, bool)
    return keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
