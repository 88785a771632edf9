"""What is right for each query of an evaluation, and the rule "same label"."""
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Tuple

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances

SHOWN = ("mAP", "recall@1", "recall@5", "recall@10", "MRR")


class Index(NamedTuple):
    """The images of one split: path and label of each row, in the rows' order."""
    paths: List[str]
    labels: List[str]


class Setting(NamedTuple):
    """One of several things that a protocol calls right, or a part of its queries (`rows`; None: all)."""
    relevance: relevances.Relevance
    rows: Optional[np.ndarray] = None


class GroundTruth(NamedTuple):
    """Queries, gallery and what is right.

    Attributes:
      query, gallery: the images, in the order of rows and of ids.
      relevance: what is right; the main setting where there are several.
      rule: the rule in words, such as "same label".
      protocol: its name in protocols.py.
      ap: the protocol's definition of average precision.
      metrics: names of the metrics that it is reported by.
      settings: {name: Setting} for protocols that have several, such as easy, medium and hard.
      is_labelled: whether labels are the data's own; else an image has the name of the first query that it answers.
      is_complete: whether every gallery image is listed; else what is not listed is a distractor.
      optional: gallery ids that a gallery may lack.
      query_names: other names of the queries.
    """
    query: Index
    gallery: Index
    relevance: relevances.Relevance
    rule: str
    protocol: str = "classes"
    ap: str = "step"
    metrics: Tuple[str, ...] = SHOWN
    settings: Dict[str, Setting] = {}
    is_labelled: bool = True
    is_complete: bool = True
    optional: FrozenSet[int] = frozenset()
    query_names: Tuple[str, ...] = ()


def classes(query, gallery):
    """Return the `GroundTruth` "same label" of two indexes; equal paths are the same image, which is junk."""
    labels, images = codes(query.labels, gallery.labels), codes(query.paths, gallery.paths)
    own = int(np.isin(images[0], images[1]).sum())
    rule = "same label"
    if own:
        rule += ", the query's own image being junk (in the gallery for {:,} of {:,} queries)".format(
            own, len(query.paths))
    return GroundTruth(query, gallery, relevances.from_labels(labels[0], labels[1], images[0], images[1]), rule)


def listed(queries, gallery, positives, junk, rule, **more):
    """Return the `GroundTruth` that lists of images state.

    Args:
      queries, gallery: names, in the order of rows and of ids.
      positives, junk: for each query a sequence of gallery names.
      rule: in words.
      more: further attributes of `GroundTruth`.

    Raises:
      InputError: an image is both positive and junk for a query.
    """
    for name, right, removed in zip(queries, positives, junk):
        both = sorted(set(right) & set(removed))
        if both:
            raise InputError("the ground truth calls {} both positive and junk for the query {}".format(both[0], name))
    ids = {name: i for i, name in enumerate(gallery)}
    right = [np.array([ids[name] for name in names], np.int64) for names in positives]
    removed = [np.array([ids[name] for name in names], np.int64) for names in junk]
    return from_ids(queries, gallery, right, removed, rule, **more)


def from_ids(queries, gallery, positives, junk, rule, **more):
    """Return the `GroundTruth` of lists of gallery ids; arguments as those of `listed`."""
    labels, answers = [""] * len(gallery), []
    for name, right in zip(queries, positives):
        for i in right:
            labels[i] = labels[i] or name
        answers.append(labels[right[0]] if len(right) else name)
    relevance = relevances.from_lists(positives, junk, len(gallery))
    return GroundTruth(Index(list(queries), answers), Index(list(gallery), labels), relevance, rule,
                       is_labelled=False, **more)


def take(index, rows):
    """Return the `Index` of some rows, in the order given."""
    return Index([index.paths[i] for i in rows], [index.labels[i] for i in rows])


def codes(first, second):
    """Return two int64 arrays of codes >= 0; equal values, equal codes."""
    known = {}
    return [np.array([known.setdefault(value, len(known)) for value in values], np.int64) for values in (first, second)]
