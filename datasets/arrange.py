"""From what a layout found to the splits: as the layout has them, or drawn."""
import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets import layout_shop
from slim_retrieval.datasets.found import WHOLE
from slim_retrieval.datasets.pool import labels_of, resplit
from slim_retrieval.datasets.splits import check_shares, choose_mode, split_rows
from slim_retrieval.datasets.table import ImageTable


def arrange(pool, found, readable, twins, mode, shares, validation, seed, unlabelled=False):
    """Return (`Pool` with its final splits, how they came about in words).

    Args:
      pool: the `Pool` of the layout's splits, with the key WHOLE alone where it has none.
      found: the layout's `Found`.
      readable: bool [len(pool.table)], images that may be used where splits are drawn or all are taken.
      twins: int64 [len(pool.table)], equal numbers for equal pictures.
      mode: images, classes, or "" for the layout's own splits (or the better of the two where it has none).
      shares: {split: share} for drawn splits.
      validation: share of the training classes that becomes validation, where the layout has splits without it.
      unlabelled: make all images queries and gallery.

    Raises:
      InputError: labels that say nothing, or splits that cannot be drawn.
    """
    if unlabelled:
        return _unlabelled(pool, readable), "every image searches all others"
    if WHOLE not in pool.rows and not mode:
        return _with_validation(pool, validation, seed)
    rows = np.flatnonzero(readable)
    known = labels_of(pool.table)
    labels = [known[row] for row in rows]
    check_labels(labels)
    roles = [layout_shop.ROLES.get(role, "") for role in pool.table.columns.get(layout_shop.ROLE, [])]
    has_roles = set(roles) >= {"query", "gallery"}
    # Where customers search shops, an item has few photos: dividing them would leave nothing to find.
    chosen = mode or ("classes" if has_roles else choose_mode(labels))
    parts = split_rows(labels, chosen, shares, seed, [roles[row] for row in rows] if has_roles else None, twins[rows])
    how = "drawn by {}{}, shares {} of train, validation, query and gallery, seed {}".format(
        chosen, "" if mode else " (chosen by the size of the classes; --split {} for the other)".format(
            "classes" if chosen == "images" else "images"),
        " ".join("{:g}".format(share) for share in shares.values()), seed)
    return resplit(pool, {split: rows[some] for split, some in parts.items()}), how


def check_wishes(found, mode, shares, validation, tfrecord, drop_leaks):
    """Refuse what a data set cannot be given, before its images are looked at; arguments as those of `arrange`.

    Raises:
      InputError: the message names the flag.
    """
    check_shares(shares)
    is_whole = WHOLE in found.splits
    if is_whole and validation:
        raise InputError("--validation is for data sets with splits of their own; for drawn ones set --shares")
    if mode and not is_whole and found.protocol != "classes":
        raise InputError("--split {}: {} has splits and a ground truth of its own; leave it out".format(
            mode, found.protocol or "a set without labels"))
    if found.reader != "csv" and not tfrecord and (mode or validation or drop_leaks):
        raise InputError("these images lie inside larger files, which are read in fixed parts; other splits need "
                         "--tfrecord")
    if tfrecord and not found.protocol:
        raise InputError("--tfrecord: slim's records hold a class and these images have none; leave it out")


def check_labels(labels):
    """Refuse labels from which nothing can be learnt and by which nothing can be found.

    Raises:
      InputError: one label for all, or another for each.
    """
    names = set(labels)
    if len(names) == 1:
        raise InputError("all {:,} images have the one label {!r}: there is nothing to tell apart; is it the right "
                         "column or folder? (--unlabelled searches without labels)".format(len(labels), labels[0]))
    if len(names) == len(labels):
        raise InputError("each of the {:,} images has a label of its own, e.g. {!r}: no query would have a match; is "
                         "it the right column or folder? (--unlabelled searches without labels)".format(
                             len(labels), labels[0]))


def _unlabelled(pool, readable):
    table = pool.table
    columns = {name: values for name, values in table.columns.items() if name != "label"}
    bare = ImageTable(table.paths, columns, table.load)
    rows = np.flatnonzero(readable)
    return resplit(pool._replace(table=bare), {"query": rows, "gallery": rows})


def _with_validation(pool, share, seed):
    """Return the pool with a share of the training classes as validation, when that is asked for."""
    how = "as the data set has them"
    if not share:
        if "train" in pool.rows and "validation" not in pool.rows:
            how += "; there is no validation split to choose settings on (--validation 0.1 takes a tenth of the " \
                   "training classes)"
        return pool, how
    if "train" not in pool.rows or "validation" in pool.rows:
        raise InputError("--validation: the data set has {}; leave it out".format(
            "no training split to take it from" if "train" not in pool.rows else "a validation split"))
    labels = np.array(labels_of(pool.tables["train"]))
    names = np.unique(labels)
    count = max(2, int(round(share * len(names))))
    if count > len(names) - 2:
        raise InputError("--validation {:g} of {} training classes would leave {} to train on; lower it".format(
            share, len(names), len(names) - count))
    taken = np.isin(labels, np.random.RandomState(seed).permutation(names)[:count])
    some = {"train": np.flatnonzero(~taken), "validation": np.flatnonzero(taken)}
    rows = dict(pool.rows, **{split: pool.rows["train"][part] for split, part in some.items()})
    tables = dict(pool.tables, **{split: pool.tables["train"].subset(part) for split, part in some.items()})
    return pool._replace(rows=rows, tables=tables), "{}; {} of {} training classes, drawn with seed {}, are " \
        "validation".format(how, count, len(names), seed)
