"""Read a ranking and make sure that it can be one."""
import os

import numpy as np

from slim_retrieval.common.errors import InputError

PLACES_PER_BLOCK = 2 ** 21


def load(path, num_queries, num_gallery):
    """Return the checked ranking in `path`, memory-mapped, int [num_queries, k], best first, -1 pads at the end.

    Raises:
      InputError: the file is missing or no .npy array of integers, or `check` refuses it.
    """
    if not os.path.isfile(path):
        raise InputError("no ranking {}; write one with retrieve.py".format(path))
    try:
        ranks = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError("{} is not a whole .npy array ({}); write it again with retrieve.py or np.save".format(
            path, error)) from error
    if not isinstance(ranks, np.ndarray) or ranks.dtype.kind not in "iu" or ranks.ndim != 2 or not ranks.shape[1]:
        found = "{} {}".format(ranks.dtype, list(ranks.shape)) if isinstance(ranks, np.ndarray) else "an .npz archive"
        raise InputError("{}: expected whole numbers of shape [queries, k], got {}".format(path, found))
    check(ranks, num_queries, num_gallery, path)
    return ranks


def check(ranks, num_queries, num_gallery, name="ranking"):
    """Check a ranking's ids against the queries and the gallery, in blocks of rows.

    Raises:
      InputError: another number of rows than queries, an id outside [-1, num_gallery), an id behind a -1 pad, or an
        id twice in a row.
    """
    if len(ranks) != num_queries:
        advice = "both must list the same ones in the same order"
        if ranks.shape[1] == num_queries:
            advice = "it has a column for each query: save it transposed, a row for each"
        raise InputError("{} ranks {} queries, the ground truth has {}; {}".format(
            name, len(ranks), num_queries, advice))
    block = max(1, PLACES_PER_BLOCK // max(ranks.shape[1], 1))
    for start in range(0, num_queries, block):
        _check_rows(np.asarray(ranks[start:start + block]), start, num_gallery, name)


def _check_rows(ranks, start, num_gallery, name):
    if ranks.dtype.kind == "u":
        ranks = ranks.astype(np.int64)  # so that comparisons with -1 mean what they say
    place = _first((ranks < -1) | (ranks >= num_gallery))
    if place:
        raise InputError("{}: query {} ranks id {}, but the gallery has ids 0 to {} (-1 pads)".format(
            name, start + place[0], ranks[place], num_gallery - 1))
    place = _first((ranks[:, :-1] < 0) & (ranks[:, 1:] >= 0))
    if place:
        raise InputError("{}: query {} has id {} behind a -1 pad at place {}; pads belong at the end".format(
            name, start + place[0], ranks[place[0], place[1] + 1], place[1]))
    place = _first_repeated(ranks, num_gallery)
    if place:
        raise InputError("{}: query {} ranks id {} more than once; end short rankings with -1, not with copies".format(
            name, start + place[0], ranks[place]))


def _first_repeated(ranks, num_gallery):
    """Return a (row, column) whose id stands in the row again, or None; pads do not count."""
    written, places = np.empty(num_gallery, np.int32), np.arange(ranks.shape[1], dtype=np.int32)
    for i, row in enumerate(ranks):
        ids = row[:np.count_nonzero(row >= 0)]
        written[ids] = places[:len(ids)]  # an id that stands twice keeps one of its places
        repeated = np.flatnonzero(written[ids] != places[:len(ids)])
        if repeated.size:
            return i, int(repeated[0])
    return None


def _first(wrong):
    """Return the (row, column) of the first True, or None."""
    if not wrong.any():
        return None
    return tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
