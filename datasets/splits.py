"""Cut labelled images into train, validation, query and gallery, by images or by classes.

`images`: every class is in every split as far as its images go (a closed set). `classes`: the classes of train, of
validation and of query and gallery are different ones, as for the benchmarks of metric learning.

Shares are drawn evenly rather than at random: the images of a class, shuffled, sit at even distances in [0, 1) from a
random start, and the boundaries between the splits fall among them. So each class gives its part of each split to
within one image, small classes too, and over all classes the shares come out as asked.
"""
import numpy as np

from slim_retrieval.common.errors import InputError

SPLITS = ["train", "validation", "query", "gallery"]
SHARES = {"train": 0.6, "validation": 0.1, "query": 0.05, "gallery": 0.25}
MODES = ["images", "classes"]
FEW = 10  # a class of fewer images cannot fill four splits


def choose_mode(labels):
    """Return `images`, or `classes` when most classes are too small to fill four splits and there are enough."""
    sizes = np.unique(labels, return_counts=True)[1]
    return "classes" if np.median(sizes) < FEW and len(sizes) >= 8 else "images"


def split_rows(labels, mode, shares, seed, roles=None, twins=None):
    """Return {split: rows, int64 sorted}; a split without rows is left out.

    Args:
      labels: n texts.
      mode: one of MODES.
      shares: {split: share}, together 1.
      seed: fixes the draw.
      roles: n texts or None; rows of the role `query` become no gallery, rows of the role `gallery` no queries.
      twins: int [n] or None; rows of one number show the same picture and stay in one split where their label is one.

    Raises:
      InputError: shares that are none, or too few classes to divide.
    """
    check_shares(shares)
    random = np.random.RandomState(seed)
    labels = np.asarray(labels)
    names, classes = np.unique(labels, return_inverse=True)
    roles = np.array([""] * len(labels) if roles is None else roles)
    twins = np.arange(len(labels)) if twins is None else np.asarray(twins)
    assigned = np.empty(len(labels), object)
    order = np.argsort(classes.reshape(-1), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(classes.reshape(-1)))[:-1])
    for rows, parts in zip(groups, _parts_of_classes(len(names), mode, shares, random)):
        for role in sorted(set(roles[rows])):
            some = rows[roles[rows] == role]
            assigned[some] = _spread(twins[some], _allowed(parts, role), random)
        _keep_queries_answerable(assigned, rows, roles)
    return {split: np.flatnonzero(assigned == split) for split in SPLITS if (assigned == split).any()}


def _parts_of_classes(count, mode, shares, random):
    """Return {split: share} for each class."""
    if mode == "images":
        return [shares] * count
    ends = np.floor(np.cumsum([shares["train"], shares["validation"]]) * count + 0.5).astype(int)
    groups = [ends[0], ends[1] - ends[0], count - ends[1]]
    wanted = [shares["train"], shares["validation"], shares["query"] + shares["gallery"]]
    for i, share in enumerate(wanted):
        while share > 0 and groups[i] < 2:  # one class alone has nothing to be told from
            most = int(np.argmax(groups))
            if groups[most] <= 2:
                raise InputError("{} classes are too few to divide by classes: train, validation and test need 2 each; "
                                 "use --split images".format(count))
            groups[most] -= 1
            groups[i] += 1
    tested = {split: shares[split] for split in ("query", "gallery")}
    parts = [{"train": 1.0}] * groups[0] + [{"validation": 1.0}] * groups[1] + [tested] * groups[2]
    return [parts[i] for i in random.permutation(count)]


def _allowed(parts, role):
    """Return the shares without the split that the role excludes, whose part the other side of the test gets."""
    barred = {"query": "gallery", "gallery": "query"}.get(role)
    if barred not in parts:
        return parts
    return {split: share + (parts[barred] if split == role else 0) for split, share in parts.items() if split != barred}


def _spread(twins, parts, random):
    """Return the split of each row; rows that are twins go together."""
    names = [split for split in SPLITS if parts.get(split, 0) > 0]
    total = sum(parts[split] for split in names)
    ends = np.cumsum([parts[split] / total for split in names])
    _, unit = np.unique(twins, return_inverse=True)
    count = unit.max() + 1
    places = (random.permutation(count) + random.uniform()) / count
    places = np.minimum(np.searchsorted(ends, places, side="right"), len(names) - 1)
    return np.array(names, object)[places[unit.reshape(-1)]]


def _keep_queries_answerable(assigned, rows, roles):
    """Give a class that is tested a query and a gallery image where it has two that may be either."""
    free = [row for row in rows if assigned[row] in ("query", "gallery") and roles[row] == ""]
    if len(free) < 2:
        for row in free:  # alone it could answer others, but nothing answers it
            assigned[row] = "gallery"
    elif len({assigned[row] for row in free}) == 1:
        assigned[free[0]] = "gallery" if assigned[free[0]] == "query" else "query"


def check_shares(shares):
    """Refuse shares that do not make splits.

    Raises:
      InputError: a negative one, another sum than 1, or no query or gallery.
    """
    values = [shares[split] for split in SPLITS]
    if min(values) < 0 or abs(sum(values) - 1) > 1e-6 or not (shares["query"] > 0 and shares["gallery"] > 0):
        raise InputError("--shares {}: expected shares of train, validation, query and gallery that add up to 1, query "
                         "and gallery above 0".format(" ".join("{:g}".format(value) for value in values)))
