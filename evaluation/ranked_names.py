"""Rankings by name, as rows of gallery ids."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress
from slim_retrieval.evaluation.binding import add_distractors, find_query
from slim_retrieval.evaluation.names import Names


def assemble(lists, truth, where, must_have_all=False):
    """Return (ranks int32 [num_queries, k] with -1 pads, the `GroundTruth` with the distractors that were named).

    Args:
      lists: {query: list of image names, best first; or {image name: score}}. Equal scores are ranked by smaller id.
      truth: the `GroundTruth`; where it does not list the whole gallery, unknown names are distractors, behind its own
        images in the order in which they appear.
      where: the file or folder, for messages.
      must_have_all: whether each query needs a list; else one without returned nothing.

    Raises:
      InputError: an unknown query, a missing one, an unknown image, an image twice, or no image of the ground truth.
    """
    rows = _rows_of_queries(lists, truth, where, must_have_all)
    known, added = Names(truth.gallery.paths), {}
    found = {}
    for name, row in progress(rows.items(), what="reading rankings", unit="query"):
        found[row] = _ids(lists[name], known, added, truth, "{}, query {}".format(where, name))
    count = len(truth.gallery.paths)
    if added and not any((ids < count).any() for ids in found.values()):
        raise InputError("{} names {} images, such as {}, and none of them is among the {} of the ground truth, such "
                         "as {}".format(where, len(added), next(iter(added)), count, truth.gallery.paths[0]))
    ranks = np.full((len(truth.query.paths), max([1] + [len(ids) for ids in found.values()])), -1, np.int32)
    for row, ids in found.items():
        ranks[row, :len(ids)] = ids
    return ranks, add_distractors(truth, list(added)) if added else truth


def _rows_of_queries(lists, truth, where, must_have_all):
    """Return {name in `lists`: row of the query}."""
    find, rows, taken = find_query(truth), {}, {}
    for name in lists:
        row = find(name)
        if row is None:
            raise InputError("{} has a ranking for {}, which is not among the {} queries of the ground truth{}".format(
                where, name, len(truth.query.paths), Names(truth.query.paths).nearest(name)))
        if row in taken:
            raise InputError("{} has two rankings for the query {}: {} and {}".format(
                where, truth.query.paths[row], taken[row], name))
        rows[name], taken[row] = row, name
    missing = [path for row, path in enumerate(truth.query.paths) if row not in taken]
    if missing and must_have_all:
        raise InputError("{} has {} rankings, the ground truth {} queries; {} have none, the first is {}".format(
            where, len(rows), len(truth.query.paths), len(missing), missing[0]))
    return rows


def _ids(names, known, added, truth, where):
    """Return the gallery ids of one query's list, int64, best first."""
    ids = np.empty(len(names), np.int64)
    for place, name in enumerate(names):
        found = known.find(name)
        if found is None and truth.is_complete:
            raise InputError("{}: the image {} is not among the {} of the ground truth's gallery{}".format(
                where, name, len(truth.gallery.paths), known.nearest(name)))
        ids[place] = added.setdefault(name, len(truth.gallery.paths) + len(added)) if found is None else found
    if isinstance(names, dict):
        ids = ids[np.lexsort((ids, -np.array(list(names.values()), np.float64)))]
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1][0]
        raise InputError("{}: the image {} is ranked more than once".format(
            where, [name for name in names if known.find(name) == twice or added.get(name) == twice][0]))
    return ids
