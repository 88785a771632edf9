"""What is wrong with a data set: the same picture several times, pictures in two splits, classes of one image.

"The same picture" is equal size and equal decoded pixels, whatever the file's format; "near-identical" is defined in
datasets/near_duplicates.py.
"""
import numpy as np

from slim_retrieval.datasets.near_duplicates import LIMIT, near_pairs
from slim_retrieval.datasets.pool import labels_of

# What the first of a pair shows must not be evaluated in the second.
APART = [("train", "validation"), ("train", "query"), ("train", "gallery"), ("validation", "query"),
         ("validation", "gallery")]
SHOWN = 10  # examples in the report


def twin_codes(pixels):
    """Return int64 [n]: equal numbers for equal pictures (digests uint64 [n, 2])."""
    return np.unique(pixels, axis=0, return_inverse=True)[1].reshape(-1)


def find_duplicates(table, codes, rows):
    """Return what there is to say of pictures that are there more than once.

    Args:
      table: ImageTable.
      codes: int64 [len(table)], from `twin_codes`.
      rows: the rows that count.

    Returns:
      {groups, images, groups_with_several_labels, first: [[path, ...], ...]}.
    """
    labels = labels_of(table)
    order = rows[np.argsort(codes[rows], kind="stable")]
    groups = [group for group in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(group) > 1]
    several = [group for group in groups if len({labels[row] for row in group}) > 1]
    shown = (several + [group for group in groups if len({labels[row] for row in group}) == 1])[:SHOWN]
    return {"groups": len(groups), "images": int(sum(map(len, groups))), "groups_with_several_labels": len(several),
            "first": [[table.paths[row] for row in group] for group in shown]}


def find_leaks(pool, codes, thumbs):
    """Return (what there is to say of pictures in two splits that should be apart, which images would have to go).

    Returns:
      {limit, pairs: [{splits, same_file, identical, near_pairs, near_images, first: [[path, path], ...]}, ...]} with
      one entry for each of APART that shares anything, or None where there are no splits to compare; and {split: bool
      [len(pool.table)]}, the images of train and of validation that a later split shows too.
    """
    leaky = {first: np.zeros(len(pool.table), bool) for first, _ in APART}
    entries, compared = [], [pair for pair in APART if set(pair) <= set(pool.rows)]
    for first, second in compared:
        a, b = np.unique(pool.rows[first]), np.unique(pool.rows[second])
        same = np.intersect1d(a, b)
        twins = a[np.isin(codes[a], codes[b])]
        near_images, near_count, shown = set(), 0, []
        for i, j in near_pairs(thumbs[a], thumbs[b]):
            other = codes[a[i]] != codes[b[j]]
            near_count += int(other.sum())
            near_images.update(a[i][other].tolist())
            shown += [[pool.table.paths[row] for row in pair] for pair in zip(a[i][other], b[j][other])][:SHOWN]
        leaky[first][twins] = True
        leaky[first][sorted(near_images)] = True
        if len(twins) or near_images:
            entries.append({"splits": [first, second], "same_file": len(same), "identical": len(twins) - len(same),
                            "near_pairs": near_count, "near_images": len(near_images), "first": shown[:SHOWN]})
    return {"limit": LIMIT, "pairs": entries} if compared else None, leaky


def find_tiny_classes(labels, least):
    """Return {classes, single, fewer_than, tiny, first}: how many classes have one image, and fewer than `least`."""
    names, sizes = np.unique(labels, return_counts=True)
    tiny = sizes < least
    return {"classes": len(names), "single": int((sizes == 1).sum()), "fewer_than": least, "tiny": int(tiny.sum()),
            "smallest": int(sizes.min()), "median": float(np.median(sizes)), "largest": int(sizes.max()),
            "first": [str(name) for name in names[tiny][np.argsort(sizes[tiny], kind="stable")][:SHOWN]]}


def find_unanswerable(query, gallery):
    """Return how many queries have no image of their label in the gallery, their own file not counted."""
    known = {}
    for path, label in zip(gallery.paths, labels_of(gallery)):
        known.setdefault(label, set()).add(path)
    return sum(not (known.get(label, set()) - {path}) for path, label in zip(query.paths, labels_of(query)))
