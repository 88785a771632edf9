"""Lay a ground truth that knows its images by name over the rows of a run, or over more images than it lists."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.ground_truth import Index
from slim_retrieval.evaluation.names import Names


def bind(truth, query_paths, gallery_paths, where, query_names=None, allow_missing=False):
    """Return the `GroundTruth` for queries and gallery images in the order of their own rows.

    Images are matched by name (names.py). Gallery images that the ground truth does not name are distractors.

    Args:
      truth: a `GroundTruth`.
      query_paths, gallery_paths: the rows' names.
      where: what they belong to, for messages.
      query_names: names to match the queries by, where they have others than their paths.
      allow_missing: let gallery images be missing that the ground truth names. A missing match counts as one that was
        never returned, so no result gets better by it; the rule says how many there are.

    Raises:
      InputError: a query of one side that the other lacks, a gallery image that is missing, or two rows of one name.
    """
    queries = _match(find_query(truth), query_names or query_paths, "query", where)
    unknown = np.flatnonzero(queries < 0)
    if unknown.size:
        raise InputError("{} has {} queries, the ground truth {}; {} of them are not in the ground truth, the first is "
                         "{}".format(where, len(query_paths), len(truth.query.paths), unknown.size,
                                     query_paths[unknown[0]]))
    _refuse_missing(truth.query.paths, _missing(truth.query.paths, queries), "queries", where, len(query_paths))
    gallery = _match(Names(truth.gallery.paths).find, gallery_paths, "gallery image", where)
    missing = _missing(truth.gallery.paths, gallery, truth.optional)
    if not allow_missing:
        _refuse_missing(truth.gallery.paths, missing, "gallery images", where, len(gallery_paths),
                        "; --evaluation.allow_missing true counts them as never returned")
    elif missing:
        truth = truth._replace(rule="{}; missing, so never returned: {:,} of the {:,} gallery images named, such as "
                               "{}".format(truth.rule, len(missing), len(truth.gallery.paths),
                                           truth.gallery.paths[missing[0]]))
    return _laid_over(truth, queries, gallery, query_paths, gallery_paths)


def add_distractors(truth, names):
    """Return the `GroundTruth` with more gallery images behind its own that are right for no query."""
    count, queries = len(truth.gallery.paths), np.arange(len(truth.query.paths))
    gallery = np.append(np.arange(count), np.full(len(names), -1))
    return _laid_over(truth, queries, gallery, truth.query.paths, truth.gallery.paths + list(names))


def find_query(truth):
    """Return a function that gives the row of a query by its name or another name of it, or None."""
    first, others = Names(truth.query.paths), Names(list(truth.query_names))

    def find(name):
        place = first.find(name)
        return others.find(name) if place is None else place
    return find


def _match(find, paths, what, where):
    """Return the place of each path in the ground truth, -1 where it has none; refuse one that is matched twice."""
    result, taken = np.full(len(paths), -1, np.int64), {}
    for row, path in enumerate(paths):
        place = find(path)
        if place is None:
            continue
        if place in taken:
            raise InputError("{}: {} and {} are both the {} of one name in the ground truth; each may be there "
                             "once".format(where, paths[taken[place]], path, what))
        result[row], taken[place] = place, row
    return result


def _missing(names, found, optional=()):
    return sorted(set(range(len(names))) - set(found.tolist()) - set(optional))


def _refuse_missing(names, missing, what, where, count, advice=""):
    if missing:
        raise InputError("the ground truth names {} {}, {} has {}; {} of those named are not there, the first is "
                         "{}{}".format(len(names), what, where, count, len(missing), names[missing[0]], advice))


def _laid_over(truth, queries, gallery, query_paths, gallery_paths):
    relevance = relevances.rearranged(truth.relevance, queries, gallery)
    settings, place = {}, np.argsort(queries)
    for name, setting in truth.settings.items():
        rows = np.arange(len(queries)) if setting.rows is None else setting.rows
        settings[name] = setting._replace(
            rows=None if setting.rows is None else place[rows],
            relevance=relevances.rearranged(setting.relevance, queries if setting.rows is None else
                                            np.arange(len(rows)), gallery))
    return truth._replace(
        query=Index(list(query_paths), [truth.query.labels[i] for i in queries]),
        gallery=Index(list(gallery_paths), [truth.gallery.labels[i] if i >= 0 else "" for i in gallery]),
        relevance=relevance, settings=settings, is_complete=True,
        query_names=tuple(truth.query_names[i] for i in queries) if truth.query_names else ())
